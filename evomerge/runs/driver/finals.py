"""The end of a run: its best candidates are scored anew, and what that says is decided."""

from collections.abc import Callable, Generator, Iterable, Iterator

from evomerge.errors import RunFailedError
from evomerge.runs.driver.dialogue import Dialogue, Tell
from evomerge.runs.driver.dispatch import Dispatcher
from evomerge.runs.driver.patience import Patience
from evomerge.runs.driver.state import SEARCH, VALIDATION, SearchState
from evomerge.runs.driver.stops import Stops
from evomerge.runs.driver.verdict import (
    finalists_of,
    finished_event,
    order_of,
    utilities_of,
)
from evomerge.runs.events import Event, Finished, Rescoring
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.objectives import Objectives


class FinalistsPace:
    """Finalists are scored on the validation split, as many at a time as there are workers.

    Args:
        names: The finalists, best first.
        dialogue: Knows their recipes.
        dispatcher: Scores.
        state: Where the search stands.
    """

    thinking = False

    def __init__(
        self, names: Iterable[str], dialogue: Dialogue, dispatcher: Dispatcher, state: SearchState
    ) -> None:
        self._names = list(names)
        self._dialogue = dialogue
        self._dispatcher = dispatcher
        self._state = state
        self._next = 0

    def propose(self) -> Iterator[Event]:
        """Queue the next ones."""
        while self._next < len(self._names):
            if self._dispatcher.outstanding >= self._dispatcher.target:
                return
            name = self._names[self._next]
            self._next += 1
            if self._state.settled(name, VALIDATION):
                continue
            yield Rescoring(candidate=name, index=self._next, total=len(self._names))
            row = self._state.candidates[name]
            self._dispatcher.add([self._dialogue.pending(row, VALIDATION, keep_answers=True)])

    def tell(self) -> Tell | None:
        """Return nothing: a searcher learns from the search split alone."""
        return None

    def wait(self, timeout_s: float) -> None:
        """Return at once."""


class Finals:
    """Scores the finalists on the validation split and decides which candidate is best.

    Args:
        n: How many finalists.
        state: Where the search stands.
        objectives: What was optimised.
        writer: Writes the decision.
        patience: Writes to a ledger that may be away.
        stops: Keeps the request to stop.
    """

    def __init__(
        self,
        n: int,
        state: SearchState,
        objectives: Objectives,
        writer: RunWriter,
        patience: Patience,
        stops: Stops,
    ) -> None:
        self._n = n
        self._state = state
        self._objectives = objectives
        self._writer = writer
        self._patience = patience
        self._stops = stops

    def rescore(self, work: Callable[[list[str]], Iterator[Event]]) -> Generator[Event, None, None]:
        """Have ``work`` score the finalists, then decide, unless a stop comes between.

        Raises:
            RunFailedError: No candidate has a score, or no finalist could be scored anew.
        """
        state = self._state
        finalists: list[str] = []
        while (wanted := self._choose()) != finalists:  # something was banned or pinned meanwhile
            finalists = wanted
            yield from work(finalists)
            if self._stops.asked is not None:
                return
        if not finalists:
            raise (yield from self._nobody())
        order = order_of(state, self._objectives, finalists)
        if order is None:
            raise (
                yield from self._stops.failed(
                    "no_scores",
                    f"all {len(finalists)} finalists failed on the validation split; the last "
                    f"one: {self._last_failure(VALIDATION)}",
                    "Mend the cause, then go on with 'evomerge resume'; they are tried again.",
                    retry=[(name, VALIDATION) for name in finalists],
                )
            )
        body = {
            "best": order.best,
            "front": list(order.front),
            "finalists": finalists,
            "reason": state.ended_by or ("exhausted" if state.exhausted else "budget"),
            "budget": state.budget,
        }
        yield from self._patience.write(lambda: self._writer.decide("final", body))
        state.decided("final", body)

    def finished(self) -> Finished:
        """Return the event that tells of the decision."""
        return finished_event(self._state, self._objectives)

    def _choose(self) -> list[str]:
        """Return who is to be re-scored as things stand."""
        search = utilities_of(self._state, self._objectives, SEARCH)
        return finalists_of(self._state, search, self._n) if search else []

    def _nobody(self) -> Generator[Event, None, RunFailedError]:
        """Store that there is nobody to choose from; return what to raise."""
        state = self._state
        if any(name in state.candidates for name in state.estimates[SEARCH]):
            message = "all candidates that have scores are banned"
            mend = "Take a ban back (evomerge ban RUN CANDIDATE --undo), or give the run more "
        else:
            message = (
                f"all {state.progress.evaluated} candidates failed; the last one: "
                f"{self._last_failure(SEARCH)}"
            )
            mend = "Mend the cause and start a new run, or give this one more "
        mend += "candidates with 'evomerge resume RUN --set search.budget=N'."
        return (yield from self._stops.failed("no_scores", message, mend))

    def _last_failure(self, split: str) -> str:
        failures = list(self._state.failures[split].values())
        return failures[-1].message if failures else "unknown"
