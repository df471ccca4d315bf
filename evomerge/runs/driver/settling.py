"""Commits results: one transaction for all that came together, with what is told of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from evomerge.runs.driver.dialogue import Dialogue, Tell
from evomerge.runs.driver.dispatch import Dispatcher
from evomerge.runs.driver.patience import Patience
from evomerge.runs.driver.scoring import Scored
from evomerge.runs.driver.state import SEARCH, SearchState
from evomerge.runs.events import AttemptLost, CandidateDone, CandidateFailed, Event
from evomerge.runs.hypervolume import Cover
from evomerge.runs.ledger.rows import FinishedAttempt
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.objectives import Objectives
from evomerge.runs.reading.accounting import Spent


class Tally:
    """What a run's results add up to.

    Args:
        best: Objective → best value so far.
        spent: What all attempts took.
        cover: What the front covers; None where the run has no hypervolume.
    """

    def __init__(self, best: Mapping[str, float], spent: Spent, cover: Cover | None = None) -> None:
        self.best = best
        self.spent = spent
        self.cover = cover

    @property
    def hypervolume(self) -> float | None:
        """Share of the ideal that the front covers; None where the run has none."""
        return None if self.cover is None else self.cover.volume.value


class Settler:
    """Commits results and keeps up what is known of them.

    Args:
        state: Where the search stands.
        tally: What the results add up to.
        objectives: What is optimised.
        writer: Writes the run's rows.
        patience: Writes to a ledger that may be away.
        dispatcher: Lets go of what is committed.
        dialogue: Tells the searcher.
    """

    def __init__(
        self,
        state: SearchState,
        tally: Tally,
        objectives: Objectives,
        writer: RunWriter,
        patience: Patience,
        dispatcher: Dispatcher,
        dialogue: Dialogue,
    ) -> None:
        self._state = state
        self._tally = tally
        self._objectives = objectives
        self._writer = writer
        self._patience = patience
        self._dispatcher = dispatcher
        self._dialogue = dialogue

    def settle(
        self, scored: Sequence[Scored], tell_now: Callable[[], Tell | None], *, again: bool = True
    ) -> Iterator[Event]:
        """Commit results, then act on them.

        Args:
            scored: The results.
            tell_now: Returns what the searcher is told along with them.
            again: Queue a candidate whose attempt was lost.
        """
        events = [self._take(item) for item in scored]
        attempts = [
            FinishedAttempt(item.record, item.blocks, item.estimates, event)
            for item, event in zip(scored, events, strict=True)
        ]
        tell = tell_now()

        def write() -> None:
            with self._writer.batch("attempt"):
                self._writer.add_attempts(attempts)
                if tell is not None:
                    self._dialogue.write(tell)

        fresh = [item.outcome for item in scored if not item.record.reused]
        yield from self._patience.write(write, fresh)
        self._dispatcher.settle(scored, again=again)
        if tell is not None:
            self._dialogue.told(tell)
            events.append(tell.event)
        yield from filter(None, events)

    def _take(self, scored: Scored) -> Event | None:
        """Take a result into account and return the event that goes into its commit."""
        record, failure = scored.record, scored.failure
        name, split, number = record.candidate_id, record.split, record.number
        self._tally.spent = self._tally.spent.plus(record)
        self._state.attempted(name, split, number, failure, scored.estimates, lost=record.lost)
        if failure is not None and record.lost:
            return AttemptLost(name, number, record.worker, failure.message)
        if split != SEARCH or name not in self._state.candidates:
            return None
        progress = self._state.progress
        if failure is not None:
            return CandidateFailed(
                name, failure.kind, failure.message, progress, number, record.worker
            )
        self._dialogue.scored(name, scored.blocks)
        values = self._objectives.values(scored.estimates)
        known = [self._tally.best] if self._tally.best else []
        feasible = self._state.may(name) and self._objectives.violation(scored.estimates) == 0
        if feasible:
            self._tally.best = self._objectives.best([values, *known])
            if self._tally.cover is not None:
                self._tally.cover.add(self._objectives.utilities(scored.estimates))
        return CandidateDone(
            candidate=name,
            objectives=values,
            reused=record.reused,
            merge_s=record.merge_s,
            score_s=record.score_s,
            progress=progress,
            attempt=number,
            worker=record.worker,
            feasible=feasible,
        )
