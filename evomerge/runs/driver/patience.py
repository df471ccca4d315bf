"""Reads and writes of a ledger that may be away for a while.

Nothing goes on before the ledger has it, but the workers: what they finish meanwhile is kept on
the disk, so that not even the driver's end loses it.
"""

import time
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from evomerge.errors import ExecutionError, FencedError, LedgerAwayError, LedgerError
from evomerge.execution.protocol import Executor, Outcome
from evomerge.runs.driver.spool import Spool
from evomerge.runs.events import Event, LedgerAway, LedgerBack
from evomerge.runs.ledger.writer import RunWriter

T = TypeVar("T")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0


class GivenUp(Exception):  # noqa: N818  ends a drive in an orderly way; nobody else sees it
    """The ledger stayed away for longer than the run waits."""


class Patience:
    """Tries again what a ledger that is away refused.

    Args:
        writer: Writes the run's rows.
        executor: Whose outcomes are fetched meanwhile.
        spool: Where they are kept.
        away_s: Seconds to wait for the ledger.
        leave: Says that the run has to stop now, ledger or not.
        meanwhile: Looks after what needs no ledger.
        clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        writer: RunWriter,
        executor: Executor,
        spool: Spool,
        *,
        away_s: float,
        leave: Callable[[], bool],
        meanwhile: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._writer = writer
        self._executor = executor
        self.spool = spool
        self._away_s = away_s
        self._leave = leave
        self._meanwhile = meanwhile
        self._clock = clock
        self.arrived: list[Outcome] = []
        """Outcomes that were fetched while the ledger was away."""
        self.away_since: float | None = None

    def read(self, work: Callable[[], T]) -> Generator[Event, None, T]:
        """Return what ``work`` reads, once it can be read.

        Raises:
            GivenUp: The ledger stayed away.
        """
        while True:
            try:
                found = work()
            except LedgerAwayError as error:
                yield from self._wait(error)
            else:
                yield from self._back()
                return found

    def write(
        self, work: Callable[[], object], outcomes: Sequence[Outcome] = ()
    ) -> Generator[Event, None, None]:
        """Carry out ``work``, one transaction, once and only once.

        Args:
            work: Writes.
            outcomes: What it stores; kept on the disk while it can't.

        Raises:
            GivenUp: The ledger stayed away.
            LedgerError: The ledger can't be written; ``outcomes`` are on the disk.
        """

        def once() -> None:
            # A connection that broke during the commit may have committed.
            if self.away_since is None or not self._writer.landed():
                work()

        try:
            yield from self.read(lambda: self._keeping(once, outcomes))
        except FencedError:
            raise
        except LedgerError:
            self._keep(outcomes)
            raise

    def _keeping(self, once: Callable[[], None], outcomes: Sequence[Outcome]) -> None:
        try:
            once()
        except LedgerAwayError:
            self._keep(outcomes)
            raise

    def _keep(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.job.prompt is None:  # what people asked is asked again
                self.spool.keep(outcome)

    def _wait(self, error: LedgerAwayError) -> Generator[Event, None, None]:
        """Let the workers go on for a moment; tell of the first time."""
        now = self._clock()
        if self.away_since is None:
            self.away_since = now
            self._pause_s = FIRST_PAUSE_S
            yield LedgerAway(str(error))
        self._meanwhile()
        away_s = now - self.away_since
        if self._leave() or away_s >= self._away_s:
            raise GivenUp(str(error)) from error
        pause_s = min(self._pause_s, max(self._away_s - away_s, 0.01))
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        try:
            fetched = self._executor.wait(pause_s)
        except ExecutionError:  # raised again by the next one who waits
            fetched = []
        self._keep(fetched)
        self.arrived += fetched
        left_s = pause_s - (self._clock() - now)
        if not fetched and left_s > 0:  # nothing runs
            time.sleep(left_s)

    def _back(self) -> Generator[Event, None, None]:
        """Store and tell that the ledger is back, where it was away."""
        if self.away_since is None:
            return
        event = LedgerBack(self._clock() - self.away_since, len(self.spool))
        self.away_since = None
        # Lost if the ledger goes at once again; the next write waits for it anyway.
        try:
            self._writer.tell_of(event)
        except LedgerAwayError:
            return
        yield event
