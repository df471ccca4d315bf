"""Commands that steer a search (inject, ban, pin) or remark on its candidates (note, star)."""

from typing import TYPE_CHECKING, Annotated

import typer

from evomerge.cli.display import print_json, say
from evomerge.cli.options import CandidateArgument, JsonOption, RunArgument, find_run

if TYPE_CHECKING:
    from evomerge.runs.steering import Steered

UndoOption = Annotated[bool, typer.Option("--undo", help="Take it back.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands to ``app``."""
    app.command("inject")(inject)
    app.command("ban")(ban)
    app.command("pin")(pin)
    app.command("note")(note)
    app.command("star")(star)


def inject(
    run: RunArgument,
    recipe: Annotated[
        str,
        typer.Argument(metavar="RECIPE", help="A recipe file, or RUN:CANDIDATE of another run."),
    ],
    label: Annotated[
        str | None, typer.Option("--label", metavar="NAME", help="What to call it.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Have a search try a recipe: its searcher proposes it at the next ask and learns from it.

    It counts in the budget. A run that nobody drives takes it up when it is resumed.
    """
    from evomerge.runs.steering import request_inject

    path = find_run(run)
    found = request_inject(path, recipe, label=label)
    when = {
        "running": "It is proposed at the searcher's next ask.",
        "finished": f"Give the run more candidates: evomerge resume {path} --set search.budget=N",
    }.get(found.state, f"It is proposed when the run goes on: evomerge resume {path}")
    _tell(
        json=json,
        text=f"Took {found.label}. {when}",
        run=path,
        request=found.request,
        label=found.label,
    )


def ban(
    run: RunArgument,
    candidate: CandidateArgument,
    undo: UndoOption = False,
    json: JsonOption = False,
) -> None:
    """Never choose a candidate from now on, nor score its recipe again in the search.

    It isn't on the front, final or best any more, whether the run goes on, has stopped or ended.
    """
    from evomerge.runs.steering import steer

    path = find_run(run)
    found = steer(path, "ban", candidate, on=not undo)
    text = f"{found.candidate} is {'not banned' if undo else 'banned'}."
    if found.best is None:
        text += f" No finalist is left; score others: evomerge resume {path}"
    elif found.best:
        text += f" The best is {found.best}."
    _tell_steered(found, text, json=json, banned=not undo)


def pin(
    run: RunArgument,
    candidate: CandidateArgument,
    undo: UndoOption = False,
    json: JsonOption = False,
) -> None:
    """Have a candidate among the finalists, however good others are.

    A run that has ended takes it in when it is extended.
    """
    from evomerge.runs.steering import steer

    path = find_run(run)
    found = steer(path, "pin", candidate, on=not undo)
    text = f"{found.candidate} is {'not pinned' if undo else 'pinned'}."
    _tell_steered(found, text, json=json, pinned=not undo)


def note(
    run: RunArgument,
    candidate: CandidateArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What there is to say.")],
    json: JsonOption = False,
) -> None:
    """Write a note on a candidate, which 'show' and 'front' then tell; any time."""
    from evomerge.runs.remarks import add_note

    path = find_run(run)
    name = add_note(path, candidate, text)
    _tell(json=json, text=f"Noted on {name}.", candidate=name, note=text)


def star(
    run: RunArgument,
    candidate: CandidateArgument,
    undo: UndoOption = False,
    json: JsonOption = False,
) -> None:
    """Give a candidate a star, which 'show' and 'front' then tell; any time."""
    from evomerge.runs.remarks import set_star

    path = find_run(run)
    name = set_star(path, candidate, on=not undo)
    text = f"{name} has no star." if undo else f"{name} has a star."
    _tell(json=json, text=text, candidate=name, starred=not undo)


def _tell_steered(found: "Steered", text: str, *, json: bool, **document: bool) -> None:
    if not found.answered:
        text = f"Asked for {found.candidate}; the run's driver is busy and takes it up later."
    _tell(json=json, text=text, candidate=found.candidate, answered=found.answered, **document)


def _tell(*, json: bool, text: str, **document: object) -> None:
    """Say what was done, or print it as a document."""
    if json:
        print_json(document)
    else:
        say(text)
