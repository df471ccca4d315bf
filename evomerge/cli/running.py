"""Commands that drive a run: ``run`` and ``resume``."""

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evomerge.cli.display import number, print_json, say
from evomerge.cli.front import print_front
from evomerge.cli.options import JsonOption, PluginOption, RunArgument, SetOption, find_run

if TYPE_CHECKING:
    from evomerge.config.run import RunConfig
    from evomerge.runs.events import Event
    from evomerge.runs.reading.status import Status
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

    The run's folder is runs/NAME. Ctrl-C once stops it cleanly, twice at once; SIGTERM and SIGUSR1
    let running candidates finish and end with 0. 'evomerge resume' goes on with it in any case.
    """
    from evomerge.runs.setup.check import load_checked
    from evomerge.runs.start import new_run

    loaded = load_checked(config, overrides or (), plugins=plugin or ())
    with new_run(
        loaded, where=str(config), out=out, reuse=not no_reuse, plugins=plugin or ()
    ) as opened:
        end = _drive(opened)
    _conclude(opened.folder.path, end, json=json)


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
        end = _drive(opened)
    _conclude(path, end, json=json)


def _searchers(config: "RunConfig") -> str:
    """Who searches, in words: one searcher, or one part after the other."""
    if config.search.phases is None:
        return f"searcher {config.search.searcher}"
    parts = [phase.search for phase in config.search.phases]
    return f"{len(parts)} phases ({', then '.join(parts)})"


@dataclass(frozen=True)
class _End:
    """How a drive ended: its last event, and whether Ctrl-C or another signal had come."""

    event: "Event | None"
    interrupted: bool
    drained: bool


def _drive(opened: "OpenRun") -> _End:
    """Drive the run to its end or to a stop, showing how it goes."""
    from evomerge.cli.interrupts import StopOnSignal
    from evomerge.cli.progress import run_progress
    from evomerge.runs.events import Started
    from evomerge.runs.log import logging_to

    for warning in opened.prepared.warnings:
        say(f"warning: {warning}")
    config = opened.prepared.config
    say(
        f"{config.name}: {opened.prepared.space.summary}, searcher {config.search.searcher}, "
        f"folder {opened.folder.path}"
    )
    directions = {name: item.direction for name, item in config.objectives.items()}
    progress = run_progress(directions, live=sys.stderr.isatty())
    grace_s = config.execution.grace_s
    signals = StopOnSignal(
        opened.run.request_stop,
        lambda: opened.run.request_stop("signal", grace_s),
        grace_s=grace_s,
    )
    event = None
    with logging_to(opened.folder.log_file, config.execution.log), signals, progress:
        for event in opened.run.drive():
            progress.show(event)
            if isinstance(event, Started) and event.resumed:
                done = event.progress
                say(f"going on after {done.evaluated} of {done.budget} candidates")
    return _End(event, interrupted=signals.asked, drained=signals.drained)


def _conclude(path: Path, end: _End, *, json: bool) -> None:
    """Print what was reached; exit with 130 after Ctrl-C, with 1 where the disk ended the run."""
    from evomerge.runs.events import Finished, Stopped
    from evomerge.runs.reading.results import RunResults

    finished = isinstance(end.event, Finished)
    with contextlib.closing(RunResults.open(path)) as results:
        status, front = results.status(), results.front()
    if json:
        print_json({"run": path, "status": status, **front.to_dict()})
    elif finished:
        print_front(front, status.directions)
    if not finished:
        reason = end.event.reason if isinstance(end.event, Stopped) else "user"
        if isinstance(end.event, Stopped) and end.event.message:
            say(end.event.message)
        _say_stopped(path, status)
        if reason in ("signal", "pause", "cancel") and not end.interrupted:
            return
        raise typer.Exit(1 if reason == "disk" else INTERRUPTED)
    if end.drained or end.interrupted:
        say("It had finished before it was to stop.")
    if not json:
        say(f"Compare on held-out examples:  evomerge report {path}")
        say(f"Write the best as a checkpoint: evomerge export {path} best --out DIR")


def _say_stopped(path: Path, status: "Status") -> None:
    done = status.progress
    best = ", ".join(f"{name} {number(value)}" for name, value in status.best.items())
    say(
        f"Stopped after {done.evaluated} of {done.budget} candidates"
        f"{f' (best {best})' if best else ''}. Go on with: evomerge resume {path}"
    )
