"""The command ``diff``: two candidates of a run side by side."""

import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evomerge.cli.display import interval, number, print_json, print_table, say, table
from evomerge.cli.options import JsonOption, RunArgument, find_run

if TYPE_CHECKING:
    from evomerge.runs.reading.diff import CandidatesDiff

MOST = 40
"""Differences of genes or recipes that are shown; --json has them all."""
LONGEST = 60
"""Characters of a value that are shown: paths and segments may be very long."""

CandidateArgument = Annotated[str, typer.Argument(help="A candidate's id, or 'best'.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands to ``app``."""
    app.command("diff")(diff)


def diff(
    run: RunArgument, a: CandidateArgument, b: CandidateArgument, json: JsonOption = False
) -> None:
    """Compare two candidates: genes, scores, and on which examples one beats the other."""
    from evomerge.runs.reading.diff import diff_candidates
    from evomerge.runs.reading.results import RunResults

    with contextlib.closing(RunResults.open(find_run(run))) as results:
        found = diff_candidates(results, a, b)
        directions = {item.name: item.direction for item in results.objectives.all}
    if json:
        print_json(found)
        return
    _print_scores(found, directions)
    _print_changes(found)


def _print_scores(found: "CandidatesDiff", directions: dict[str, str]) -> None:
    first, second = found.candidates
    rows = [
        (f"{name} ({directions[name]})", *(interval(e.value, e.low, e.high) for e in pair))
        for name, pair in found.objectives.items()
    ]
    print_table(table(f"Scores ({found.split} split)", ["objective", first, second], rows))
    cells = [
        (
            f"{item.task}.{item.metric}",
            interval(item.difference.value, item.difference.low, item.difference.high),
            len(item.won),
            len(item.lost),
            item.difference.n,
        )
        for item in found.tasks
    ]
    columns = ["task", f"{first} minus {second}", ">won", ">lost", ">examples"]
    print_table(table("The same examples", columns, cells))


def _print_changes(found: "CandidatesDiff") -> None:
    title = "Genes" if found.genes else "Places of the recipe"
    changes = found.genes or found.recipe
    if not changes:
        say("Both are one recipe.")
        return
    rows = [(name, _shown(one), _shown(other)) for name, (one, other) in changes.items()]
    print_table(table(f"{title} that differ", ["", *found.candidates], rows[:MOST]))
    if len(rows) > MOST:
        say(f"{len(rows) - MOST} more; --json shows them all.")


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    text = "–" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
