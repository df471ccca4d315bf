"""Hands candidates to the executor, each under a lease, and takes back what became of them.

An executor never repeats a job: whose worker ended under it gets its next lease here.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable

from evomerge.execution.protocol import Executor, Job, Outcome
from evomerge.runs.driver.patience import Patience
from evomerge.runs.driver.scoring import Flight, Pending, Scored, Scorer
from evomerge.runs.driver.state import Lease
from evomerge.runs.events import Event
from evomerge.runs.ledger.writer import RunWriter


class Dispatcher:
    """Keeps the executor supplied with candidates.

    Candidates of one recipe go one after another, so that nothing is scored twice.

    Args:
        executor: Where they are scored.
        scorer: Says what of each is left to score.
        writer: Writes the leases.
        patience: Reads and writes the ledger, which may be away.
        in_driver: The executor works in this process, one job at a time while somebody waits for
            it; a queue would only put leases on candidates that nobody works on.
    """

    def __init__(
        self,
        executor: Executor,
        scorer: Scorer,
        writer: RunWriter,
        patience: Patience,
        *,
        in_driver: bool,
    ) -> None:
        self._executor = executor
        self._scorer = scorer
        self._writer = writer
        self._patience = patience
        self._in_driver = in_driver
        self._queue: deque[Pending] = deque()
        self._busy: dict[str, list[Pending]] = {}  # recipe in work -> candidates that wait for it
        self._flying: dict[tuple[str, str], Flight] = {}
        self._held = 0
        self._replies: list[Outcome] = []  # to prompts, which are no candidates

    @property
    def ahead(self) -> int:
        """Jobs beyond one a worker, so that none waits while a result is being committed."""
        return 0 if self._in_driver else max(1, self._executor.slots // 8)

    @property
    def target(self) -> int:
        """Jobs to have with the executor."""
        return 1 if self._in_driver else self._executor.slots + self.ahead

    @property
    def running(self) -> int:
        """Jobs that are with the executor, or back from it and not committed."""
        return len(self._flying)

    @property
    def outstanding(self) -> int:
        """Candidates that were added and are not settled."""
        return len(self._queue) + self._held + len(self._flying)

    def leases(self) -> list[Lease]:
        """Return the attempts that are with the executor."""
        items = (flight.pending for flight in self._flying.values())
        return [(item.candidate_id, item.split, item.number) for item in items]

    def add(self, items: Iterable[Pending]) -> None:
        """Queue candidates."""
        self._queue.extend(items)

    def hand_out(self) -> Generator[Event, None, list[Scored]]:
        """Give the executor what it has room for; return those that the ledger holds already."""
        chosen = self._choose()
        if not chosen:
            return []
        flights = yield from self._patience.read(lambda: self._scorer.flights(chosen))
        fresh = [flight for flight in flights if flight.job.blocks]
        self._flying |= {flight.pending.key: flight for flight in flights}
        if fresh:
            items = [flight.pending for flight in fresh]
            leases = [(item.candidate_id, item.split, item.number) for item in items]
            yield from self._patience.write(lambda: self._writer.grant(leases))
            for flight in fresh:
                self._executor.submit(flight.job)
        known = [flight for flight in flights if not flight.job.blocks]
        return [self._scorer.scored(flight, Outcome(flight.job)) for flight in known]

    def collect(self, timeout_s: float) -> list[Scored]:
        """Return what has finished, waiting up to ``timeout_s`` for the first.

        Raises:
            ExecutionError: There are no workers any more.
        """
        outcomes = self._patience.arrived or self._executor.wait(timeout_s)
        self._patience.arrived = []
        self._replies += [outcome for outcome in outcomes if outcome.job.prompt is not None]
        outcomes = [outcome for outcome in outcomes if outcome.job.prompt is None]
        found = {item.pending.key: item for item in map(self._of, outcomes) if item is not None}
        return list(found.values())

    def take_replies(self) -> list[Outcome]:
        """Return what came back of prompts since the last time."""
        found, self._replies = self._replies, []
        return found

    def landed(self, pending: Pending, outcome_of: Callable[[Job], Outcome]) -> Scored:
        """Take in the outcome of an attempt that isn't with the executor: an earlier driver's."""
        (flight,) = self._scorer.flights([pending])
        self._flying[pending.key] = flight
        self._busy.setdefault(pending.recipe.hash(), [])
        return self._scorer.scored(flight, outcome_of(flight.job))

    def settle(self, scored: Iterable[Scored], *, again: bool = True) -> None:
        """Let go of what is committed; ``again``: queue a candidate whose attempt was lost."""
        for item in scored:
            pending = item.pending
            del self._flying[pending.key]
            waiting = self._busy.pop(pending.recipe.hash())
            self._held -= len(waiting)
            self._queue.extendleft(reversed(waiting))
            if again and item.record.lost:
                self._queue.appendleft(
                    Pending(
                        candidate_id=pending.candidate_id,
                        recipe=pending.recipe,
                        split=pending.split,
                        number=pending.number + 1,
                        lost=pending.lost + 1,
                        keep_answers=pending.keep_answers,
                    )
                )
            self._patience.spool.drop(pending.candidate_id, pending.split, pending.number)

    def _choose(self) -> list[Pending]:
        """Take from the queue what there is room for, no recipe twice."""
        chosen: list[Pending] = []
        room = self.target - len(self._flying)
        while self._queue and len(chosen) < room:
            item = self._queue.popleft()
            waiting = self._busy.get(item.recipe.hash())
            if waiting is None:
                self._busy[item.recipe.hash()] = []
                chosen.append(item)
            else:
                waiting.append(item)
                self._held += 1
        return chosen

    def _of(self, outcome: Outcome) -> Scored | None:
        """Return what became of a job; None for one whose lease isn't out (any more)."""
        split = outcome.job.blocks[0].split
        flight = self._flying.get((outcome.job.candidate_id, split))
        if flight is None or flight.pending.number != outcome.job.attempt:
            return None
        return self._scorer.scored(flight, outcome)
