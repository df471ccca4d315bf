"""How a run ends before its budget is spent: because it was asked to, or because all fails."""

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

from evomerge.errors import RunFailedError
from evomerge.runs.driver.dispatch import Dispatcher
from evomerge.runs.driver.patience import GivenUp, Patience
from evomerge.runs.driver.state import SEARCH, SearchState
from evomerge.runs.events import Event, Stopped
from evomerge.runs.ledger.writer import RunWriter


@dataclass(frozen=True)
class StopRequest:
    """Why the run stops, and when it stops waiting for what is running; None: never.

    Args:
        reason: ``user``, ``signal``, ``disk``, ``pause`` or ``cancel``.
        message: What is the matter, if anything.
        until: By the run's clock.
    """

    reason: str
    message: str = ""
    until: float | None = None


class Stops:
    """Keeps the request to stop, and stores why a run ended.

    Args:
        state: Where the search stands.
        writer: Writes the run's rows.
        patience: Writes to a ledger that may be away.
        dispatcher: Knows what is running.
        identical_failures: Equal failures in a row that end the run.
        whole: The searcher is told whole generations.
        clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        state: SearchState,
        writer: RunWriter,
        patience: Patience,
        dispatcher: Dispatcher,
        *,
        identical_failures: int,
        whole: bool,
        clock: Callable[[], float],
    ) -> None:
        self._state = state
        self._writer = writer
        self._patience = patience
        self._dispatcher = dispatcher
        self._identical_failures = identical_failures
        self._whole = whole
        self._clock = clock
        self.asked: StopRequest | None = None

    def ask(self, reason: str, grace_s: float | None, message: str = "") -> None:
        """Note a request; the first reason stands, and the earliest end of waiting."""
        until = None if grace_s is None else self._clock() + grace_s
        before = self.asked
        if before is None:
            self.asked = StopRequest(reason, message, until)
        elif until is not None and (before.until is None or until < before.until):
            self.asked = StopRequest(before.reason, before.message, until)

    def left_s(self) -> float:
        """Return how long to wait for what is running; infinite unless a stop limits it."""
        if self.asked is None or self.asked.until is None:
            return float("inf")
        return max(self.asked.until - self._clock(), 0.0)

    def may_leave(self) -> bool:
        """Say if the run stops and waits no longer for what is running."""
        return self.asked is not None and (self.left_s() == 0 or not self._dispatcher.running)

    def stopped(self) -> Iterator[Event]:
        """Store that the run was stopped, and what it leaves undone."""
        asked = self.asked
        assert asked is not None
        event = Stopped(self._state.progress, asked.reason, asked.message)
        body = {"reason": asked.reason, "message": asked.message, "abandoned": self._abandoned()}
        with contextlib.suppress(GivenUp):
            yield from self._patience.write(lambda: self._writer.decide("stop", body, event))
        yield event

    def failed(
        self, reason: str, message: str, mend: str, *, retry: Sequence[tuple[str, str]] = ()
    ) -> Generator[Event, None, RunFailedError]:
        """Store that the run fails and what a resume tries again; return what to raise."""
        body = {
            "reason": reason,
            "message": message,
            "after_attempts": self._state.n_attempts,
            "retry": [list(item) for item in retry],
            "abandoned": self._abandoned(),
        }
        yield from self._patience.write(lambda: self._writer.decide("stop", body))
        self._state.forgive(retry)
        return RunFailedError(f"{message.rstrip('.')}. {mend}")

    def check_streak(self) -> Iterator[Event]:
        """Go on unless the latest candidates all failed for one reason.

        Raises:
            RunFailedError: They did: what they share is broken, not each of them.
        """
        state = self._state
        failed_ask = self._failed_generation()
        if failed_ask is None and len(state.streak) < self._identical_failures:
            return
        candidate_id, split = state.streak[-1]
        message = state.failures[split][candidate_id].message.rstrip(".")
        among = "" if failed_ask is None else f", all of generation {failed_ask} among them"
        retry = state.to_retry()
        which = "these candidates are" if len(retry) == len(state.streak) else _some(len(retry))
        raise (
            yield from self.failed(
                "identical_failures",
                f"{len(state.streak)} candidates in a row failed alike{among}: {message}",
                f"Mend the cause, then go on with 'evomerge resume'; {which} tried again.",
                retry=retry,
            )
        )

    def _failed_generation(self) -> int | None:
        """Return the ask whose candidates all failed alike, if telling of them would lose them.

        What the searcher was told can't be tried again, and without being told it can't be asked
        for the next generation. So where another one like it would end the run, this one does.
        """
        state = self._state
        ask = state.open_generation() if self._whole else None
        if ask is None:
            return None
        streak = {name for name, split in state.streak if split == SEARCH}
        generation = [row.candidate_id for row in state.generations[ask]]
        again = len(state.streak) + len(generation) >= self._identical_failures
        return ask if again and streak.issuperset(generation) else None

    def _abandoned(self) -> list[list[str | int]]:
        """Return the attempts that nobody waits for any more."""
        return [list(lease) for lease in self._dispatcher.leases()]


def _some(n: int) -> str:
    """Say how many candidates are tried again; the rest belong to generations that were told."""
    if n == 1:
        return "the last one, which the searcher wasn't told of yet, is"
    return f"the last {n}, which the searcher wasn't told of yet, are"
