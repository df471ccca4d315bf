"""The progress of a run, from its events: a live bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from evomerge.cli.display import console, duration, number, say
from evomerge.runs.events import (
    Advanced,
    Asked,
    AttemptLost,
    CandidateDone,
    CandidateFailed,
    Draining,
    Enough,
    Event,
    GenerationDone,
    LedgerAway,
    LedgerBack,
    Progress,
    Rescoring,
    Scaled,
    Started,
    Steered,
    WorkerGone,
    WorkerJoined,
)

if TYPE_CHECKING:
    from rich.progress import TaskID


class RunProgress(Protocol):
    """Shows the events of a run; a context manager, since a live bar has to be taken down."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop showing."""

    def show(self, event: Event) -> None:
        """Take one event."""


def run_progress(directions: Mapping[str, str], *, live: bool) -> RunProgress:
    """Return what shows a run.

    Args:
        directions: Objective → ``maximize`` or ``minimize``.
        live: Draw a bar that moves; otherwise print lines.
    """
    return LiveProgress(directions) if live else PlainProgress(directions)


class Tally:
    """What a run's events add up to: counts, the best value of each objective, speed.

    Args:
        directions: Objective → ``maximize`` or ``minimize``.
    """

    def __init__(self, directions: Mapping[str, str]) -> None:
        self._directions = directions
        self._began_s = self._ready_s = self._last_s = time.monotonic()
        self._before = 0
        self.progress = Progress(evaluated=0, failed=0, budget=0)
        self.best: dict[str, float] = {}
        self._workers: set[str] = set()

    def take(self, event: Event) -> None:
        """Add ``event``."""
        if isinstance(event, Started):
            self._began_s = self._ready_s = time.monotonic()
            self._before = event.progress.evaluated
        if isinstance(event, (Asked, WorkerJoined)) and self.progress.evaluated == self._before:
            self._ready_s = time.monotonic()  # workers take longer to start than many a candidate
        if isinstance(event, (Started, CandidateDone, CandidateFailed, GenerationDone, Advanced)):
            self.progress = event.progress
        if isinstance(event, (CandidateDone, CandidateFailed)):
            self._last_s = time.monotonic()
        if isinstance(event, CandidateDone) and event.feasible:
            self._improve(event.objectives)
        if isinstance(event, (GenerationDone, Advanced)):
            self._improve(event.best)
        self._count_workers(event)

    @property
    def elapsed_s(self) -> float:
        """Seconds from the driver's start to the last candidate; re-scoring doesn't count."""
        return max(self._last_s - self._began_s, 0.0)

    @property
    def rate(self) -> float | None:
        """Candidates per second since workers were there; None before the first."""
        done, taken_s = self.progress.evaluated - self._before, self._last_s - self._ready_s
        return done / taken_s if done and taken_s > 0 else None

    @property
    def left_s(self) -> float | None:
        """Seconds until the budget is spent at the present rate."""
        rate = self.rate
        return (self.progress.budget - self.progress.evaluated) / rate if rate else None

    @property
    def workers(self) -> int:
        """Workers that are there; 0 where a run has none of its own."""
        return len(self._workers)

    def best_text(self) -> str:
        """Return ``best mean=0.6412``, or nothing before the first score."""
        if not self.best:
            return ""
        return " ".join(["best", *(f"{name}={number(v)}" for name, v in self.best.items())])

    def _count_workers(self, event: Event) -> None:
        if isinstance(event, WorkerJoined):
            self._workers.add(event.worker)
        elif isinstance(event, WorkerGone):
            self._workers.discard(event.worker)

    def _improve(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            sign = -1 if self._directions.get(name) == "minimize" else 1
            if name not in self.best or sign * value > sign * self.best[name]:
                self.best[name] = value


def sentence(event: Event) -> str | None:
    """Return what is worth a line of its own besides the counts, or None."""
    match event:
        case CandidateFailed():
            return f"candidate {event.candidate} failed: {event.failure}: {event.message}"
        case AttemptLost():
            return (
                f"candidate {event.candidate}: attempt {event.attempt} was lost and is made "
                f"again: {event.message}"
            )
        case WorkerJoined():
            where = ", ".join(part for part in (event.node, event.device) if part)
            return f"worker {event.worker} is ready{f' ({where})' if where else ''}"
        case WorkerGone():
            return f"worker {event.worker} is gone{f': {event.reason}' if event.reason else ''}"
        case Scaled():
            return f"workers from now on: {event.workers}"
        case Steered():
            refused = f" was refused: {event.refused}" if event.refused else ""
            return f"{event.action} {event.subject}{refused}"
        case LedgerAway():
            return f"the ledger is away, results wait on the disk: {event.message}"
        case LedgerBack():
            waited = f", {event.spooled} results had waited" if event.spooled else ""
            return f"the ledger is back after {duration(event.away_s)}{waited}"
        case Enough():
            return f"enough (search.stop.{event.reason}): no more candidates are proposed"
        case Draining():
            return (
                f"nothing new is begun ({event.reason}); candidates that still run: {event.running}"
            )
        case _:
            return None


class PlainProgress:
    """One line a generation, a failure and whatever else matters, for logs and pipes.

    An asynchronous run has a line every so many candidates instead. What the budget, a stop or a
    failure cuts short gets its line too, without ``generation``.
    """

    def __init__(self, directions: Mapping[str, str]) -> None:
        self._tally = Tally(directions)
        self._told = self._tally.progress
        self._rescoring = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tell_rest()

    def show(self, event: Event) -> None:
        """Print a line for ``event`` where it is worth one."""
        tally = self._tally
        tally.take(event)
        if isinstance(event, Started):
            self._told = event.progress
        elif line := sentence(event):
            say(line)
        elif isinstance(event, GenerationDone):
            self._tell(event.elapsed_s, f"generation={event.ask}")
        elif isinstance(event, Advanced):
            self._tell(event.elapsed_s)
        elif isinstance(event, Rescoring) and not self._rescoring:
            self._rescoring = True
            self._tell_rest()
            say(f"scoring {event.total} finalists on the validation split")

    def _tell_rest(self) -> None:
        """Print the state if candidates came after the last line that told it."""
        if self._tally.progress != self._told:
            self._tell(self._tally.elapsed_s)

    def _tell(self, elapsed_s: float, *first: str) -> None:
        tally = self._tally
        done = self._told = tally.progress
        parts = [
            *first,
            f"evaluated={done.evaluated}/{done.budget}",
            f"failed={done.failed}",
            tally.best_text(),
            f"elapsed_s={elapsed_s:.1f}",
            f"candidates/s={tally.rate:.2f}" if tally.rate else "",
            f"left={duration(tally.left_s)}",
        ]
        say(" ".join(part for part in parts if part))


class LiveProgress:
    """A bar with counts, speed, time left and the best values so far."""

    def __init__(self, directions: Mapping[str, str]) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bars

        self._tally = Tally(directions)
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console(stderr=True),
        )
        self._candidates: TaskID = self._bars.add_task("candidates", total=None, note="")
        self._finalists: TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def show(self, event: Event) -> None:
        """Redraw with ``event``."""
        tally = self._tally
        tally.take(event)
        if isinstance(event, Rescoring):
            if self._finalists is None:
                self._finalists = self._bars.add_task("finalists", total=event.total, note="")
            self._bars.update(self._finalists, completed=event.index)
            return
        if line := sentence(event):
            self._bars.console.print(line, markup=False)
        rate = f"{tally.rate:.2f}/s" if tally.rate else ""
        left = f"{duration(tally.left_s)} left" if tally.rate else ""
        failed = f"{tally.progress.failed} failed" if tally.progress.failed else ""
        workers = f"{tally.workers} workers" if tally.workers > 1 else ""
        parts = (tally.best_text(), failed, workers, rate, left)
        note = " · ".join(part for part in parts if part)
        self._bars.update(
            self._candidates,
            completed=tally.progress.evaluated,
            total=tally.progress.budget or None,
            note=note if tally.best or failed else "",
        )
