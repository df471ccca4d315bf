"""Commands that read what a run reached: front, show, report and export."""

import contextlib
import enum
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evomerge.cli.archive import show_archive
from evomerge.cli.display import (
    STAR,
    console,
    day,
    interval,
    print_json,
    print_pairs,
    print_scores,
    print_table,
    say,
    table,
)
from evomerge.cli.front import front
from evomerge.cli.options import CandidateArgument, JsonOption, RunArgument, find_run
from evomerge.cli.routes import SvgOption, print_route, save_route

if TYPE_CHECKING:
    from evomerge.runs.ledger.rows import AttemptRow
    from evomerge.runs.reading.results import CandidateDetails, RunResults
    from evomerge.runs.report import Report

ShownArgument = Annotated[
    str,
    typer.Argument(
        metavar="CANDIDATE", help="A candidate's id, 'best', or 'archive' where a search keeps one."
    ),
]


SEGMENTS_SHOWN = 8
"""Segments of a list that 'show' prints; evolved models have hundreds."""


class Format(enum.StrEnum):
    """What ``export`` writes."""

    hf = "hf"
    recipe = "recipe"
    mergekit = "mergekit"


def register(app: typer.Typer) -> None:
    """Add this module's commands to ``app``."""
    app.command("front")(front)
    app.command("show")(show)
    app.command("report")(report)
    app.command("export")(export)


def show(
    run: RunArgument,
    candidate: ShownArgument,
    detail: Annotated[
        bool,
        typer.Option(
            "--detail",
            help="Show all that is known of failed attempts: traceback, exit signal, memory, "
            "last log lines.",
        ),
    ] = False,
    svg: SvgOption = None,
    json: JsonOption = False,
) -> None:
    """Show one candidate: route, recipe, parents, scores, attempts and why they failed.

    'archive' shows the models that a search keeps: by m2n2, and which examples each lives on; by
    map_elites and the like, the best of each kind.
    """
    if candidate == "archive":
        show_archive(run, json=json)
        return
    with _results(run) as results:
        found = results.show(candidate)
        name = results.row.name
        _say_best(results, candidate)
    save_route(found.recipe, svg, heading=f"{name}: candidate {found.candidate}")
    if json:
        print_json(found)
        return
    _print_candidate(found, detail=detail)


@contextlib.contextmanager
def _results(run: Path) -> "Iterator[RunResults]":
    from evomerge.runs.reading.results import RunResults

    results = RunResults.open(find_run(run))
    try:
        yield results
    finally:
        results.close()


def _say_best(results: "RunResults", candidate: str) -> None:
    """Say which candidate is the best of several objectives, since that is a choice."""
    if candidate != "best" or len(results.objectives.all) == 1:
        return
    found = results.front()
    if found.best is not None:
        what = next((mark for mark in found.best.marks if mark in ("knee", "middle")), "best")
        say(
            f"best is {found.best.candidate}, the {what} of a front of {len(found.entries)}. "
            "'evomerge front' shows the others."
        )


def _print_candidate(found: "CandidateDetails", *, detail: bool) -> None:
    from evomerge.config import dump_yaml

    rows = [
        ("status", found.status),
        ("origin", found.origin),
        ("parents", ", ".join(found.parents) or "–"),
        ("recipe hash", found.recipe_hash),
        ("attempts", str(found.attempts)),
        ("merge, score", f"{found.merge_s:.2f} s, {found.score_s:.2f} s"),
        ("device time", f"{found.device_s:.2f} s"),
    ]
    if found.cost is not None:
        rows.append(("cost", f"{found.cost:.4f}"))
    if found.remark.starred:
        rows.append(("star", STAR))
    if found.remark.banned:
        rows.append(("banned", "never chosen, and its recipe isn't scored again"))
    if found.remark.pinned:
        rows.append(("pinned", "always among the finalists"))
    rows += [("note", f"{day(item.made_s)}: {item.text}") for item in found.remark.notes]
    for split, failure in found.failures.items():
        rows.append((f"failure ({split})", f"{failure.kind}: {failure.message}"))
    print_pairs(f"Candidate {found.candidate}", rows)
    print()
    if any(item.failure for item in found.tries):
        _print_attempts(found.tries, detail=detail)
    scores = list(_score_rows(found.objectives, found.tasks))
    if scores:
        columns = ["split", "objective or task", "value and 95 % interval", ">examples"]
        print_table(table("Scores", columns, scores))
    print_route(found.recipe)
    out = console()
    out.print("Recipe", style="bold")
    out.print(dump_yaml(shortened(found.recipe)), markup=False, soft_wrap=True)


def shortened(recipe: Any) -> Any:
    """Return a plain recipe in which of many segments only the first and the last are left."""
    if isinstance(recipe, Mapping):
        return {key: shortened(value) for key, value in recipe.items()}
    if not isinstance(recipe, list):
        return recipe
    are_segments = all(isinstance(item, Mapping) and "weights" in item for item in recipe)
    if not are_segments or len(recipe) <= SEGMENTS_SHOWN:
        return [shortened(item) for item in recipe]
    left_out = len(recipe) - SEGMENTS_SHOWN
    return [*recipe[: SEGMENTS_SHOWN - 1], f"… {left_out} more, with --json", recipe[-1]]


def _print_attempts(tries: "Sequence[AttemptRow]", *, detail: bool) -> None:
    rows = [
        (
            a.split,
            a.number,
            "lost" if a.lost else "failed" if a.failure else "done",
            a.worker,
            f"{a.busy_s:.2f} s",
            f"{a.failure.kind}: {a.failure.message}" if a.failure else "",
        )
        for a in tries
    ]
    columns = ["split", ">attempt", "end", "worker", ">busy", "reason"]
    print_table(table("Attempts", columns, rows))
    for a in tries if detail else ():
        if a.failure and a.failure.detail:
            print(f"Attempt {a.number} on the {a.split} split:")
            print(a.failure.detail.rstrip("\n"))
            print()


def _score_rows(
    objectives: Mapping[str, Mapping[str, Any]],
    tasks: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> Iterator[tuple[str, str, str, int]]:
    for split, found in objectives.items():
        for name, e in found.items():
            yield split, name, interval(e.value, e.low, e.high), e.n
        for task, metrics in tasks.get(split, {}).items():
            for metric, e in metrics.items():
                name = metric if task == "(recipe)" else f"{task}.{metric}"
                yield split, f"  {name}", interval(e.value, e.low, e.high), e.n


def report(
    run: RunArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Where the page goes; report.html in RUN if absent."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compare the best found with base, sources and their uniform average on the test split.

    The search never sees that split; each look at it is recorded. The same, with front, course,
    coefficients, recipe and provenance, becomes one HTML file to send around.
    """
    from evomerge.runs.report import make_report

    path = find_run(run)
    found = make_report(path, on_model=lambda label, i, n: say(f"scoring {label} ({i} of {n})"))
    if json:
        print_json(found.to_dict())
    else:
        _print_report(found)
    from evomerge.service.reports import write_report

    say(f"report: {write_report(path, found, out or path / 'report.html')}")


def export(
    run: RunArgument,
    candidate: CandidateArgument,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where it is written.")],
    format: Annotated[
        Format, typer.Option("--format", help="hf: a checkpoint; recipe, mergekit: one file.")
    ] = Format.hf,
    json: JsonOption = False,
) -> None:
    """Write a candidate as an ordinary checkpoint, or only its recipe."""
    from evomerge.runs.export import export as write

    path = find_run(run)
    with _results(path) as results:
        _say_best(results, candidate)
    with console(stderr=True).status(f"writing {out}"):
        written = write(path, candidate, out, format=format.value)
    if json:
        print_json({"candidate": candidate, "format": format.value, "written": written})
        return
    print(written)


def _print_report(found: "Report") -> None:
    tasks = [f"{task} ({metric})" for task, metric in found.metrics.items()]
    goals = [f"{name} ({way})" for name, way in found.directions.items()]
    rows: list[tuple[str, ...]] = []
    for item in found.contestants:
        if item.failure is not None:
            rows.append((item.label, f"failed: {item.failure.message}"))
            continue
        cells = [*item.tasks.values(), *item.objectives.values()]
        rows.append((item.label, *(interval(e.value, e.low, e.high, 3) for e in cells)))
    title = f"{found.name}: test split, 95 % intervals"
    print_scores(title, ["model", *tasks, *goals], rows)
    labels = {item.candidate: item.label for item in found.contestants}
    for name in found.same:
        print(f"The best found is the same model as {labels[name]}.")
    for pair in found.differences:
        e = pair.estimate
        print(
            f"{pair.objective}: best found ({pair.candidate}) minus the best other "
            f"({labels[pair.other]}): {interval(e.value, e.low, e.high, 3)}"
        )
    if found.recipe.get("dataflow"):
        print("\nBest found")
        print_route(found.recipe)
    if found.openings > 1:
        say(f"The test split was opened {found.openings} times.")
