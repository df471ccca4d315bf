"""When a search proposes and when it tells: whole generations, or as workers become free.

Both run on one loop, which asks two things of a pace: what may be handed out now, and what is told
along with the results that are about to be committed.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Protocol

from evomerge.runs.driver.dialogue import Dialogue, Tell
from evomerge.runs.driver.dispatch import Dispatcher
from evomerge.runs.driver.scoring import Pending
from evomerge.runs.driver.settling import Tally
from evomerge.runs.driver.state import SearchState
from evomerge.runs.events import Advanced, Event, GenerationDone
from evomerge.runs.ledger.rows import CandidateRow
from evomerge.search.protocol import Proposal

QUICK_S = 0.005
"""Seconds that the loop waits for a searcher before it looks after the workers meanwhile."""

LEAST_BETWEEN = 16
"""Results after which asynchronous mode tells how far it is, at least."""


class Pace(Protocol):
    """Decides about turns."""

    @property
    def thinking(self) -> bool:
        """A searcher is thinking in another thread."""

    def propose(self) -> Iterator[Event]:
        """Hand the dispatcher whatever may be scored now; nothing when that is all."""

    def tell(self) -> Tell | None:
        """Return what is told in the commit that settled candidates are about to go in with."""

    def wait(self, timeout_s: float) -> None:
        """Wait for the searcher that is thinking."""


class GenerationPace:
    """A whole generation is asked for, scored and told in the order of asking.

    Which candidate was finished first makes no difference, so any number of workers gives the same
    search.

    Args:
        dialogue: Asks and tells.
        dispatcher: Scores.
        state: Where the search stands.
        tally: For the event at a generation's end.
        elapsed_s: Seconds that the driver has run.
    """

    thinking = False

    def __init__(
        self,
        dialogue: Dialogue,
        dispatcher: Dispatcher,
        state: SearchState,
        tally: Tally,
        elapsed_s: Callable[[], float],
    ) -> None:
        self._dialogue = dialogue
        self._dispatcher = dispatcher
        self._state = state
        self._tally = tally
        self._elapsed_s = elapsed_s

    def propose(self) -> Iterator[Event]:
        """Once a generation is settled, tell it and queue the next, within the budget."""
        state = self._state
        if self._dispatcher.outstanding:
            return
        ask = state.open_generation()
        if ask is not None and all(state.settled(r.candidate_id) for r in state.generations[ask]):
            yield from self._dialogue.tell(self._results(ask))
            ask = None
        if ask is None:
            yield from self._dialogue.enough(0, self._tally.spent.held_device_s)
            if state.progress.evaluated >= state.budget or state.exhausted:
                return
            yield from self._dialogue.before_ask()
            yield from self._dialogue.store(self._dialogue.ask(None), None)
            ask = len(state.generations) - 1
        rows = (r for r in state.generations[ask] if not state.settled(r.candidate_id))
        _queue(rows, self._dialogue, self._dispatcher, state)

    def tell(self) -> Tell | None:
        """Return nothing: a generation is told as a whole."""
        return None

    def wait(self, timeout_s: float) -> None:
        """Return at once: asks are answered in line."""

    def _results(self, ask: int) -> Tell:
        names = [row.candidate_id for row in self._state.generations[ask]]
        event = GenerationDone(
            ask=ask,
            best=dict(self._tally.best),
            elapsed_s=self._elapsed_s(),
            progress=self._state.progress,
            hypervolume=self._tally.hypervolume,
        )
        return Tell({"ask": ask, "results": self._dialogue.results(names)}, event)


class SteadyPace:
    """Candidates are asked for as workers become free, and told as results come.

    A searcher that takes its time thinks in another thread; what is settled meanwhile is told after
    that ask is stored, so the ledger has asks and tells in the order in which the searcher had
    them.

    Args:
        dialogue: Asks and tells.
        dispatcher: Scores.
        state: Where the search stands.
        tally: For the event that tells how far it is.
        elapsed_s: Seconds that the driver has run.
        in_line: Ask in this thread.
    """

    def __init__(
        self,
        dialogue: Dialogue,
        dispatcher: Dispatcher,
        state: SearchState,
        tally: Tally,
        elapsed_s: Callable[[], float],
        *,
        in_line: bool,
    ) -> None:
        self._dialogue = dialogue
        self._dispatcher = dispatcher
        self._state = state
        self._tally = tally
        self._elapsed_s = elapsed_s
        self._in_line = in_line
        self._thought: _Thought | None = None
        self._begun = False
        self._told = 0

    @property
    def thinking(self) -> bool:
        """A searcher is thinking in another thread."""
        return self._thought is not None

    def propose(self) -> Iterator[Event]:
        """Store what the searcher has thought of, tell it what came meanwhile, ask for more."""
        if not self._begun:
            # What an earlier driver proposed comes first.
            self._begun = True
            _queue(self._state.unsettled(), self._dialogue, self._dispatcher, self._state)
        if self._thought is not None:
            if not self._thought.done(0):
                return
            yield from self._store(self._thought)
        if (tell := self.tell()) is not None:
            yield from self._dialogue.tell(tell)
        outstanding = self._dispatcher.outstanding
        yield from self._dialogue.enough(outstanding, self._tally.spent.held_device_s)
        n = self._wanted()
        if n:
            yield from self._dialogue.before_ask()
            self._thought = _Thought(self._dialogue.ask, n, in_line=self._in_line)
            if self._thought.done(QUICK_S):
                yield from self._store(self._thought)

    def tell(self) -> Tell | None:
        """Return what the searcher wasn't told of, in commit order, unless it is thinking.

        Equal failures in a row wait for another result: if there is none, a broken evaluator is to
        blame, and a resume tries them again.
        """
        streak = {name for name, _ in self._state.streak}
        names = [name for name in self._state.untold if name not in streak]
        if self.thinking or not names:
            return None
        self._told += len(names)
        event = None
        if self._told >= max(self._dispatcher.target, LEAST_BETWEEN):
            self._told = 0
            progress = self._state.progress
            tally = self._tally
            event = Advanced(dict(tally.best), self._elapsed_s(), progress, tally.hypervolume)
        return Tell({"ask": None, "results": self._dialogue.results(names)}, event)

    def wait(self, timeout_s: float) -> None:
        """Wait for the searcher that is thinking."""
        if self._thought is not None:
            self._thought.done(timeout_s)

    def _wanted(self) -> int:
        """Return how many candidates to ask for now; a few at a time save commits."""
        state, dispatcher = self._state, self._dispatcher
        room = dispatcher.target - dispatcher.outstanding
        if state.exhausted or room < max(1, dispatcher.ahead // 2):
            return 0
        return max(0, min(room, state.budget - len(state.candidates)))

    def _store(self, thought: "_Thought") -> Generator[Event, None, None]:
        proposals = thought.proposals()
        rows = yield from self._dialogue.store(proposals, thought.n)
        self._thought = None
        _queue(rows, self._dialogue, self._dispatcher, self._state)


class _Thought:
    """What a searcher thinks of when asked for ``n`` candidates."""

    def __init__(self, ask: Callable[[int], list[Proposal]], n: int, *, in_line: bool) -> None:
        self.n = n
        self._ask = ask
        self._proposals: list[Proposal] = []
        self._error: BaseException | None = None
        self._ended = threading.Event()
        if in_line:
            self._think()
        else:
            # A daemon, so that a searcher deep in thought never keeps the process from ending.
            threading.Thread(target=self._think, name="ask", daemon=True).start()

    def done(self, timeout_s: float) -> bool:
        """Wait up to ``timeout_s`` and say if it has ended."""
        return self._ended.wait(timeout_s)

    def proposals(self) -> list[Proposal]:
        """Return the proposals, or raise what the searcher raised."""
        if self._error is not None:
            raise self._error
        return self._proposals

    def _think(self) -> None:
        try:
            self._proposals = self._ask(self.n)
        except BaseException as error:  # noqa: BLE001  raised in the loop's own thread
            self._error = error
        finally:
            self._ended.set()


def _queue(
    rows: Iterable[CandidateRow], dialogue: Dialogue, dispatcher: Dispatcher, state: SearchState
) -> None:
    """Queue as many of ``rows`` as the budget has room for, siblings next to each other."""
    room = state.budget - state.progress.evaluated - dispatcher.outstanding
    chosen = [dialogue.pending(row) for row, _ in zip(rows, range(room), strict=False)]
    dispatcher.add(sorted(chosen, key=_route))


def _route(item: Pending) -> tuple[tuple[str, int, float, float, float], ...]:
    """Return a key by which routes that begin alike, whose activations can be shared, meet.

    It is equal for recipes without a route, which so stay in the order in which they were asked.
    """
    flow = item.recipe.dataflow
    steps = () if flow is None else flow.steps
    return tuple((step.source, step.layer, step.scale, step.qk, step.write) for step in steps)
