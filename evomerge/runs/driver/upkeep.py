"""What a driver looks after every two seconds: workers, requests, the disk, figures."""

import logging
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from pathlib import Path

from evomerge.errors import ExecutionError, LedgerAwayError
from evomerge.execution.protocol import WorkerState
from evomerge.runs.disk import disk_trouble
from evomerge.runs.driver.patience import Patience
from evomerge.runs.driver.plan import Plan
from evomerge.runs.events import Event, Scaled, WorkerGone, WorkerJoined
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import STOPPING, RequestRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.metrics import Snapshot, write_metrics
from evomerge.runs.network_files import FOLDER, prune

logger = logging.getLogger(__name__)

EVERY_S = 2.0

_READY = ("idle", "busy")
_ANSWERED = ("scale", *STOPPING)


class Upkeep:
    """Does what has to be done from time to time.

    Args:
        records: The run's rows.
        writer: Writes them.
        patience: Reads and writes the ledger, which may be away.
        plan: Which folder and disk limits the run has.
        stop: Asks the run to stop for want of disk; takes what is the matter.
        end: Asks the run to stop because another process does; takes ``pause`` or ``cancel``.
        stale: Number of the last request that was made before anybody drove the run just now; its
            driver doesn't stop for it.
        snapshot: Makes the run's figures of the workers' states.
        living: Gives the recipes of the networks whose weights are still needed.
        steer: Takes up what users ask of the search.
        clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        records: RunRecords,
        writer: RunWriter,
        patience: Patience,
        plan: Plan,
        *,
        stop: Callable[[str], None],
        end: Callable[[str], None],
        stale: int,
        snapshot: Callable[[Sequence[WorkerState]], Snapshot],
        living: Callable[[], Collection[str]],
        steer: Callable[[], Iterator[Event]],
        clock: Callable[[], float],
    ) -> None:
        self._records = records
        self._writer = writer
        self._patience = patience
        self._plan = plan
        self._stop = stop
        self._end = end
        self._stale = stale
        self._snapshot = snapshot
        self._living = living
        self._steer = steer
        self._clock = clock
        self._due = self._due_away = clock()
        self._known: set[str] = set()
        self._answered = max(
            (int(d.body.get("request", 0)) for d in records.decisions(*_ANSWERED)), default=0
        )

    def tick(self) -> Iterator[Event]:
        """Do it all if it is time."""
        if self._clock() < self._due:
            return
        self._due = self._clock() + EVERY_S
        states = self._plan.executor.workers()
        yield from self._tell(states)
        for request in (yield from self._patience.read(self._requests)):
            yield from self._answer(request)
        yield from self._steer()
        if self._plan.folder is not None:
            self._look_at_disk(self._plan.folder, self._plan.disk_budget_gb)
            write_metrics(self._plan.folder, self._snapshot(states))
            if (self._plan.folder / FOLDER).is_dir():
                prune(self._plan.folder, self._living())

    def tick_away(self) -> None:
        """Do what needs no ledger, if it is time, while that is away: results fill the disk."""
        folder = self._plan.folder
        if folder is None or self._clock() < self._due_away:
            return
        self._due_away = self._clock() + EVERY_S
        self._look_at_disk(folder, None)  # what the ledger takes can't be asked
        write_metrics(folder, self._snapshot(self._plan.executor.workers()))

    def _look_at_disk(self, folder: Path, budget_gb: float | None) -> None:
        plan = self._plan
        try:
            trouble = disk_trouble(
                folder,
                self._records.ledger,
                reserve_gb=plan.disk_reserve_gb,
                budget_gb=budget_gb,
            )
        except LedgerAwayError:
            return  # its size can be asked next time
        if trouble is not None:
            self._stop(trouble)

    def _tell(self, states: Sequence[WorkerState]) -> Generator[Event, None, None]:
        """Store what the workers do, and who came or went since the last time."""
        events: list[Event] = []
        for state in () if self._plan.in_driver else states:
            if state.state in _READY and state.name not in self._known:
                self._known.add(state.name)
                events.append(WorkerJoined(state.name, state.node, state.device))
            elif state.state == "gone":
                self._known.discard(state.name)
                events.append(WorkerGone(state.name, state.reason))

        def write() -> None:
            with self._writer.batch("workers"):
                self._writer.store_workers(states)
                for event in events:
                    self._writer.tell_of(event)

        if states:
            yield from self._patience.write(write)
            yield from events

    def _requests(self) -> list[RequestRow]:
        found = self._records.requests(*_ANSWERED, after=self._answered)
        return [row for row in found if row.kind == "scale" or row.sequence > self._stale]

    def _answer(self, request: RequestRow) -> Generator[Event, None, None]:
        """Carry out what another process asked for; a refusal is an answer too."""
        self._answered = request.sequence
        body = {"request": request.sequence, **request.body}
        event: Event | None = None
        if request.kind in STOPPING:
            yield from self._patience.write(lambda: self._writer.decide(request.kind, body))
            self._end(request.kind)
            return
        try:
            workers = int(request.body["workers"])
            self._plan.executor.resize(workers)
            event = Scaled(workers)
        except ExecutionError as error:
            logger.warning("request %d was refused: %s", request.sequence, error)
            body["refused"] = str(error)
        yield from self._patience.write(lambda: self._writer.decide("scale", body, event))
        if event is not None:
            yield event
