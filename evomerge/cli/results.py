"""Commands that read what a run reached: status, front, show, report and export."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from evomerge.cli.display import (
    console,
    duration,
    interval,
    number,
    print_json,
    print_table,
    say,
    table,
)
from evomerge.cli.options import JsonOption, RunArgument, find_run

if TYPE_CHECKING:
    from evomerge.runs.glance import Status
    from evomerge.runs.results import CandidateDetails, Front, RunResults

CandidateArgument = Annotated[
    str, typer.Argument(metavar="CANDIDATE", help="A candidate's id, or 'best'.")
]


def register(app: typer.Typer) -> None:
    """Add this module's commands to ``app``."""
    app.command("status")(status)
    app.command("front")(front)
    app.command("show")(show)


def status(run: RunArgument, json: JsonOption = False) -> None:
    """Show how far a run is; any time, also while it goes on."""
    found = _status_of(run)
    if json:
        print_json(found)
        return
    print_table(table(found.name, ["", ""], _status_rows(found)))


def front(run: RunArgument, json: JsonOption = False) -> None:
    """Show the best candidate, or the Pareto front where a run has several objectives."""
    with _results(run) as results:
        found = results.front()
        directions = results.status().directions
    if json:
        print_json(found.to_dict())
        return
    print_front(found, directions)


def show(run: RunArgument, candidate: CandidateArgument, json: JsonOption = False) -> None:
    """Show one candidate: recipe, parents, scores, failure."""
    with _results(run) as results:
        found = results.show(candidate)
    if json:
        print_json(found)
        return
    _print_candidate(found)


def _status_of(run: Path) -> "Status":
    from evomerge.runs.glance import glance

    found = glance(find_run(run))
    if found is None:
        with _results(run) as results:
            # Field by field the same; the classes differ only in what they cost to import.
            found = cast("Status", results.status())
    return found


def print_front(found: "Front", directions: Mapping[str, str]) -> None:
    """Print the front as a table."""
    names = [f"{name} ({way})" for name, way in directions.items()]
    rows = [
        (
            entry.candidate,
            *(interval(e.value, e.low, e.high) for e in entry.objectives.values()),
            entry.recipe_hash[:12],
        )
        for entry in found.entries
    ]
    state = "final" if found.final else "so far"
    title = f"Front ({found.split} split, {state}; 95 % intervals)"
    print_table(table(title, ["candidate", *names, "recipe"], rows))
    if not rows:
        say("No candidate has a score yet.")


@contextlib.contextmanager
def _results(run: Path) -> "Iterator[RunResults]":
    from evomerge.runs.results import RunResults

    results = RunResults.open(find_run(run))
    try:
        yield results
    finally:
        results.close()


def _status_rows(found: "Status") -> list[tuple[str, str]]:
    done = found.progress
    rows = [
        ("state", found.state),
        ("candidates", f"{done.evaluated} of {done.budget}, {done.failed} failed"),
        ("generations", str(found.generations)),
    ]
    for name, value in found.best.items():
        rows.append((f"best {name}", f"{number(value)} ({found.split} split)"))
    if found.best_candidate is not None:
        rows.append(("best candidate", found.best_candidate))
    if found.candidates_per_s is not None:
        rows.append(("speed", f"{found.candidates_per_s:.2f} candidates/s"))
    if found.eta_s is not None:
        rows.append(("time left", duration(found.eta_s)))
    if found.message:
        rows.append(("failure", found.message))
    if found.state in ("stopped", "failed", "interrupted"):
        rows.append(("go on with", f"evomerge resume {found.folder}"))
    return rows


def _print_candidate(found: "CandidateDetails") -> None:
    from evomerge.config import dump_yaml

    rows = [
        ("status", found.status),
        ("origin", found.origin),
        ("parents", ", ".join(found.parents) or "–"),
        ("recipe hash", found.recipe_hash),
        ("attempts", str(found.attempts)),
        ("merge, score", f"{found.merge_s:.2f} s, {found.score_s:.2f} s"),
    ]
    for split, failure in found.failures.items():
        rows.append((f"failure ({split})", f"{failure.kind}: {failure.message}"))
    print_table(table(f"Candidate {found.candidate}", ["", ""], rows))
    scores = list(_score_rows(found.objectives, found.tasks))
    if scores:
        columns = ["split", "objective or task", "value and 95 % interval", ">examples"]
        print_table(table("Scores", columns, scores))
    out = console()
    out.print("Recipe", style="bold")
    out.print(dump_yaml(dict(found.recipe)), markup=False, soft_wrap=True)


def _score_rows(
    objectives: Mapping[str, Mapping[str, Any]],
    tasks: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> Iterator[tuple[str, str, str, int]]:
    for split, found in objectives.items():
        for name, e in found.items():
            yield split, name, interval(e.value, e.low, e.high), e.n
        for task, metrics in tasks.get(split, {}).items():
            for metric, e in metrics.items():
                yield split, f"  {task}.{metric}", interval(e.value, e.low, e.high), e.n
