"""Commands for whoever looks after a run: ``status`` and ``scale``."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evomerge.cli.display import (
    duration,
    number,
    print_json,
    print_pairs,
    print_table,
    say,
    size,
    table,
)
from evomerge.cli.options import JsonOption, RunArgument, find_run

if TYPE_CHECKING:
    from evomerge.runs.reading.status import Accounting, Status, WorkerRow

_PARTS = {
    "merge": "merge",
    "score": "forward",
    "tokenise": "tokenise",
    "cut_off": "cut off",
    "overhead": "overhead",
    "wait": "wait",
}
_WORTH_TELLING = 0.0005  # less would be shown as 0.0 %


def register(app: typer.Typer) -> None:
    """Add this module's commands to ``app``."""
    app.command("status")(status)
    app.command("scale")(scale)


def status(
    run: RunArgument,
    workers: Annotated[
        bool, typer.Option("--workers", help="Show each worker and what it does.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show how far a run is and what it has taken; any time, also while it goes on."""
    found = _status_of(run)
    if json:
        print_json(found)
        return
    print_pairs(found.name, _status_rows(found))
    if workers:
        _print_workers(found.workers)


def scale(
    run: RunArgument,
    workers: Annotated[int, typer.Argument(metavar="WORKERS", min=1, help="Workers to have.")],
    json: JsonOption = False,
) -> None:
    """Give a run that goes on more workers, or fewer; its driver takes it up within seconds.

    Workers too many end after the candidate in hand.
    """
    from evomerge.runs.requests import request_scale

    path = find_run(run)
    sequence = request_scale(path, workers)
    if json:
        print_json({"run": path, "request": sequence, "workers": workers})
        return
    noun = "worker" if workers == 1 else "workers"
    say(
        f"Asked for {workers} {noun}; the driver takes it up within seconds. See them with: "
        f"evomerge status {path} --workers"
    )


def _status_of(run: Path) -> "Status":
    from evomerge.runs.reading.glance import glance

    path = find_run(run)
    found = glance(path)
    if found is None:
        from evomerge.runs.reading.results import status_of

        found = status_of(path)
    return found


def _status_rows(found: "Status") -> list[tuple[str, str]]:
    done = found.progress
    why = f" ({found.reason})" if found.state == "stopped" and found.reason != "user" else ""
    where = f", driven by {found.driver}" if found.driver else ""
    rows = [
        ("state", f"{found.state}{why}{where}"),
        ("candidates", f"{done.evaluated} of {done.budget}, {done.failed} failed"),
    ]
    if found.generations is not None:
        rows.append(("generations", str(found.generations)))
    for name, value in found.best.items():
        rows.append((f"best {name}", f"{number(value)} ({found.split} split)"))
    if found.hypervolume is not None:
        share = f"{number(found.hypervolume.value)} of 1 ({found.split} split)"
        rows.append(("hypervolume", share if found.hypervolume.exact else f"about {share}"))
    if found.best_candidate is not None:
        rows.append(("best candidate", found.best_candidate))
    if found.candidates_per_s is not None:
        rows.append(("speed", f"{found.candidates_per_s:.2f} candidates/s"))
    if found.eta_s is not None:
        rows.append(("time left", duration(found.eta_s)))
    if found.workers:
        rows.append(("workers", _count_workers(found.workers)))
    rows += _accounting_rows(found.accounting)
    if found.message:
        rows.append(("failure" if found.state == "failed" else "because", found.message))
    if found.state in ("stopped", "failed", "interrupted"):
        rows.append(("go on with", f"evomerge resume {found.folder}"))
    return rows


def _count_workers(workers: "Sequence[WorkerRow]") -> str:
    counts = Counter(worker.state for worker in workers)
    order = ("busy", "idle", "starting", "waiting", "gone")
    return ", ".join(f"{counts[state]} {state}" for state in order if counts[state])


def _accounting_rows(taken: "Accounting") -> Iterator[tuple[str, str]]:
    if taken.attempts == 0:
        return
    if taken.lost:
        yield "attempts", f"{taken.attempts}, {taken.lost} of them lost with their worker"
    yield "device time", duration(taken.device_s)
    if taken.cost is not None:
        yield "cost", f"{taken.cost:.2f}"
    if taken.utilisation is not None:
        now = taken.utilisation_now
        also = f", {now:.1%} of the workers there now" if now is not None else ""
        yield "utilisation", f"{taken.utilisation:.1%}{also}"
    whole = sum(taken.seconds.values())
    parts = [
        f"{_PARTS[part]} {seconds / whole:.1%}"
        for part, seconds in taken.seconds.items()
        if whole and seconds / whole >= _WORTH_TELLING
    ]
    if parts:
        yield "workers' time", ", ".join(parts)


def _print_workers(workers: "Sequence[WorkerRow]") -> None:
    if not workers:
        say("No driver is at work, so there are no workers.")
        return
    columns = ["worker", "state", "node", "device", "candidate", ">for", ">jobs", ">busy",
               ">memory", "reason"]  # fmt: skip
    rows = [
        (
            w.worker,
            w.state,
            w.node,
            w.device,
            f"{w.candidate} (attempt {w.attempt})" if w.candidate else "",
            duration(w.since_s),
            w.jobs,
            "–" if w.utilisation is None else f"{w.utilisation:.0%}",
            size(w.memory_bytes) if w.memory_bytes else "–",
            w.reason,
        )
        for w in workers
    ]
    print()
    print_table(table("Workers", columns, rows))
