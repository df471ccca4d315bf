"""Commands that drive a run: ``run`` and ``resume``."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evomerge.cli.display import number, print_json, say
from evomerge.cli.options import JsonOption, PluginOption, RunArgument, SetOption, find_run
from evomerge.cli.results import print_front

if TYPE_CHECKING:
    from evomerge.runs.start import OpenRun

INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add this module's commands to ``app``."""
    app.command("run")(run)
    app.command("resume")(resume)


def run(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Run file.")],
    overrides: SetOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The run's folder.")
    ] = None,
    no_reuse: Annotated[
        bool, typer.Option("--no-reuse", help="Take no scores of other runs from the ledger.")
    ] = False,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Search for the best merge that a run file allows.

    The run's folder is runs/NAME. Ctrl-C once stops it cleanly, twice at once; 'evomerge resume'
    goes on with it either way.
    """
    from evomerge.runs.check import load_checked
    from evomerge.runs.start import new_run

    loaded = load_checked(config, overrides or (), plugins=plugin or ())
    with new_run(
        loaded, where=str(config), out=out, reuse=not no_reuse, plugins=plugin or ()
    ) as opened:
        finished = _drive(opened)
    _conclude(opened.folder.path, finished=finished, json=json)


def resume(
    run: RunArgument,
    overrides: SetOption = None,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Go on with a stopped or killed run; --set search.budget=N extends it to N candidates."""
    from evomerge.runs.start import stored_run

    path = find_run(run)
    with stored_run(path, overrides=overrides or (), plugins=plugin or ()) as opened:
        finished = _drive(opened)
    _conclude(path, finished=finished, json=json)


def _drive(opened: "OpenRun") -> bool:
    """Drive the run to its end or to a stop, showing how it goes; tell whether it finished."""
    from evomerge.cli.interrupts import StopOnInterrupt
    from evomerge.cli.progress import run_progress
    from evomerge.runs.events import Finished, Started

    for warning in opened.prepared.warnings:
        say(f"warning: {warning}")
    config = opened.prepared.config
    say(
        f"{config.name}: {len(opened.prepared.space.genes)} genes, searcher "
        f"{config.search.searcher}, folder {opened.folder.path}"
    )
    directions = {name: item.direction for name, item in config.objectives.items()}
    progress = run_progress(directions, live=sys.stderr.isatty())
    finished = False
    with _logging_to(opened.folder.log_file), StopOnInterrupt(opened.run.request_stop), progress:
        for event in opened.run.drive():
            progress.show(event)
            if isinstance(event, Started) and event.resumed:
                done = event.progress
                say(f"going on after {done.evaluated} of {done.budget} candidates")
            finished = isinstance(event, Finished)
    return finished


def _conclude(path: Path, *, finished: bool, json: bool) -> None:
    """Print what was reached; a run that was stopped exits with 130."""
    from evomerge.runs.results import RunResults

    with contextlib.closing(RunResults.open(path)) as results:
        status, front = results.status(), results.front()
    if json:
        print_json({"run": path, "status": status, **front.to_dict()})
    elif finished:
        print_front(front, status.directions)
    if not finished:
        done = status.progress
        best = ", ".join(f"{name} {number(value)}" for name, value in status.best.items())
        say(
            f"Stopped after {done.evaluated} of {done.budget} candidates"
            f"{f' (best {best})' if best else ''}. Go on with: evomerge resume {path}"
        )
        raise typer.Exit(INTERRUPTED)
    if not json:
        say(f"Compare on held-out examples:  evomerge report {path}")
        say(f"Write the best as a checkpoint: evomerge export {path} best --out DIR")


@contextlib.contextmanager
def _logging_to(file: Path) -> Iterator[None]:
    """Write the run's log to ``file`` while this context is open."""
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setLevel(logging.INFO)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("evomerge")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
