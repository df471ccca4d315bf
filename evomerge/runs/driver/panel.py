"""Before the search: base and sources are scored, from which a stability takes its units.

They are references on the search split. What is stored is never scored again, so the units stay.
"""

from collections.abc import Callable, Generator, Iterator, Sequence

from evomerge.recipes.recipe import Recipe
from evomerge.runs.driver.dialogue import Tell
from evomerge.runs.driver.dispatch import Dispatcher
from evomerge.runs.driver.patience import Patience
from evomerge.runs.driver.scoring import Pending
from evomerge.runs.driver.state import SEARCH, SearchState
from evomerge.runs.driver.stops import Stops
from evomerge.runs.events import Event
from evomerge.runs.ledger.rows import CandidateRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.objectives import Objectives

Members = Sequence[tuple[CandidateRow, Recipe]]
"""The models of a panel."""


class PanelPace:
    """The panel is scored, as many models at a time as there are workers.

    Args:
        members: Its models.
        dispatcher: Scores.
        state: Where the run stands.
    """

    thinking = False

    def __init__(self, members: Members, dispatcher: Dispatcher, state: SearchState) -> None:
        self._left = list(members)
        self._dispatcher = dispatcher
        self._state = state

    def propose(self) -> Iterator[Event]:
        """Queue the next ones; nothing happens that is told."""
        while self._left and self._dispatcher.outstanding < self._dispatcher.target:
            row, recipe = self._left.pop(0)
            name = row.candidate_id
            if not self._state.settled(name):
                number, lost = self._state.next_number(name, SEARCH), self._state.lost[name, SEARCH]
                item = Pending(name, recipe, SEARCH, number, lost=lost, any_size=True)
                self._dispatcher.add([item])
        yield from ()

    def tell(self) -> Tell | None:
        """Return nothing: no searcher is told of it."""
        return None

    def wait(self, timeout_s: float) -> None:
        """Return at once."""


class PanelStage:
    """Scores what is missing of the panel, and gives it to the objectives.

    Args:
        members: Its models; none where no objective needs one.
        objectives: What is optimised.
        state: Where the run stands.
        dispatcher: Scores.
        writer: Stores the references.
        patience: Writes to a ledger that may be away.
        stops: Keeps the request to stop.
    """

    def __init__(
        self,
        members: Members,
        objectives: Objectives,
        state: SearchState,
        dispatcher: Dispatcher,
        writer: RunWriter,
        patience: Patience,
        stops: Stops,
    ) -> None:
        self._members = members
        self._objectives = objectives
        self._state = state
        self._dispatcher = dispatcher
        self._writer = writer
        self._patience = patience
        self._stops = stops

    def score(self, work: Callable[[PanelPace], Iterator[Event]]) -> Generator[Event, None, None]:
        """Have ``work`` score the panel, unless a stop comes between.

        Raises:
            RunFailedError: One of its models can't be scored.
        """
        names = [row.candidate_id for row, _ in self._members]
        missing = [name for name in names if not self._state.settled(name)]
        if missing:
            rows = [(row, recipe.to_dict()) for row, recipe in self._members]
            yield from self._patience.write(lambda: self._writer.add_references(rows))
            yield from work(PanelPace(self._members, self._dispatcher, self._state))
        if self._stops.asked is not None:
            return
        failures = self._state.failures[SEARCH]
        for name in names:
            if name in failures:
                raise (
                    yield from self._stops.failed(
                        "no_scores",
                        f"{name}, by which stability is measured, failed: {failures[name].message}",
                        "Mend the cause, then go on with 'evomerge resume'; it is tried again.",
                        retry=[(name, SEARCH)],
                    )
                )
        self._objectives.panel.fill(self._state.references())
