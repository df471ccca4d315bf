"""The end of a run: its best candidates are scored anew, and what that says is decided."""

from collections.abc import Callable, Generator, Iterable, Iterator

from evomerge.runs.driver.dialogue import Dialogue, Tell
from evomerge.runs.driver.dispatch import Dispatcher
from evomerge.runs.driver.patience import Patience
from evomerge.runs.driver.state import SEARCH, VALIDATION, SearchState
from evomerge.runs.driver.stops import Stops
from evomerge.runs.events import Event, Finished, Rescoring
from evomerge.runs.hypervolume import covered
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.objectives import Objectives
from evomerge.runs.ranking import choose_finalists, final_order


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
        search = self._utilities(SEARCH)
        if not search:
            raise (
                yield from self._stops.failed(
                    "no_scores",
                    f"all {state.progress.evaluated} candidates failed; the last one: "
                    f"{self._last_failure(SEARCH)}",
                    "Mend the cause and start a new run, or give this one more candidates with "
                    "'evomerge resume RUN --set search.budget=N'.",
                )
            )
        hashes = {name: row.recipe_hash for name, row in state.candidates.items()}
        finalists = choose_finalists(search, hashes, self._n)
        yield from work(finalists)
        if self._stops.asked is not None:
            return
        validated = self._utilities(VALIDATION)
        scores = {name: validated[name] for name in finalists if name in validated}
        if not scores:
            raise (
                yield from self._stops.failed(
                    "no_scores",
                    f"all {len(finalists)} finalists failed on the validation split; the last "
                    f"one: {self._last_failure(VALIDATION)}",
                    "Mend the cause, then go on with 'evomerge resume'; they are tried again.",
                    retry=[(name, VALIDATION) for name in finalists],
                )
            )
        order = final_order(scores, search)
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
        assert self._state.final is not None
        best = str(self._state.final["best"])
        front: list[str] = self._state.final["front"]
        validated = self._state.estimates[VALIDATION]
        return Finished(
            best=best,
            front=tuple(front),
            objectives=self._objectives.values(validated[best]),
            reason=str(self._state.final["reason"]),
            progress=self._state.progress,
            hypervolume=covered(self._objectives, [validated[name] for name in front]),
        )

    def _utilities(self, split: str) -> dict[str, tuple[float, ...]]:
        """Return the utilities of the candidates that may be chosen."""
        found = self._state.scored(split)
        names = self._objectives.eligible(found)
        return {name: self._objectives.utilities(found[name]) for name in names}

    def _last_failure(self, split: str) -> str:
        failures = list(self._state.failures[split].values())
        return failures[-1].message if failures else "unknown"
