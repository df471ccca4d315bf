"""What is said between a run and its searcher, each word in the ledger before it counts.

Proposals are stored before anything acts on them, and results before the searcher is told; the
ledger's order is the order in which the searcher lived it, so a resume can say it all again.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.errors import LedgerError
from evomerge.execution.protocol import Failure
from evomerge.recipes.recipe import Recipe
from evomerge.recipes.space import SearchSpace
from evomerge.runs.driver.enough import Watch
from evomerge.runs.driver.injections import Injections
from evomerge.runs.driver.patience import Patience
from evomerge.runs.driver.replay import MeasuresOf, evaluations_of
from evomerge.runs.driver.scoring import Pending
from evomerge.runs.driver.state import SEARCH, SearchState
from evomerge.runs.events import Asked, Enough, Event
from evomerge.runs.examples import FreshExamples
from evomerge.runs.ledger.rows import Block, CandidateRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.objectives import CONSTRAINT, Objectives
from evomerge.runs.sizes import Sizes
from evomerge.search.protocol import Proposal, Searcher


@dataclass(frozen=True)
class Tell:
    """Results on their way to the searcher: the decision's body, and the event that tells of it."""

    body: dict[str, Any]
    event: Event | None = None


class Dialogue:
    """Asks the searcher and tells it.

    Args:
        searcher: As the ledger says it was.
        space: What is searched.
        objectives: What is optimised.
        state: Where the search stands; kept up here.
        writer: Writes the run's rows.
        patience: Writes to a ledger that may be away.
        sizes: Counts steps and parameters of recipes; None where nothing needs them.
        examples: Utilities of single examples; None for a searcher that needs none.
        watch: Says when it is enough before the budget is spent; None for never.
        measures_of: Gives a candidate's measures; None for a searcher that needs none.
        injections: Recipes from outside; None for none.
    """

    def __init__(
        self,
        searcher: Searcher,
        space: SearchSpace,
        objectives: Objectives,
        state: SearchState,
        writer: RunWriter,
        patience: Patience,
        sizes: Sizes | None = None,
        examples: FreshExamples | None = None,
        watch: Watch | None = None,
        measures_of: MeasuresOf | None = None,
        injections: Injections | None = None,
    ) -> None:
        self._searcher = searcher
        self._space = space
        self._objectives = objectives
        self._state = state
        self._writer = writer
        self._patience = patience
        self._sizes = sizes
        self._examples = examples
        self._watch = watch
        self._measures_of = measures_of
        self._injections = injections
        self._fresh: dict[str, Recipe] = {}  # stored here and not yet scored

    def before_ask(self) -> Iterator[Event]:
        """Give the searcher what has come from outside since it was asked last."""
        if self._injections is not None:
            yield from self._injections.hand_over()

    def ask(self, n: int | None) -> list[Proposal]:
        """Return what the searcher proposes; it counts once it is stored."""
        return self._searcher.ask(n)

    def store(
        self, proposals: Sequence[Proposal], n: int | None
    ) -> Generator[Event, None, list[CandidateRow]]:
        """Store what the searcher proposed when it was asked for ``n``."""
        ask = len(self._state.generations)
        items = []
        for place, proposal in enumerate(proposals):
            genome = self._space.decode(proposal.genome)
            recipe = self._space.recipe(genome)
            row = CandidateRow(
                candidate_id=proposal.id,
                ask=ask,
                place=place,
                kind="search",
                origin=proposal.origin,
                parents=proposal.parents,
                genome=genome,
                recipe_hash=recipe.hash(),
            )
            items.append((row, recipe.to_dict()))
            self._fresh[row.candidate_id] = recipe
        rows = [row for row, _ in items]
        event = Asked(ask, tuple(row.candidate_id for row in rows))
        yield from self._patience.write(lambda: self._writer.add_ask(ask, items, event, n=n))
        self._state.asked(ask, rows)
        yield event
        return rows

    def pending(
        self,
        row: CandidateRow,
        split: str = SEARCH,
        *,
        number: int | None = None,
        keep_answers: bool = False,
    ) -> Pending:
        """Return a stored candidate, ready to be scored.

        Args:
            row: The candidate.
            split: What to score it on.
            number: The number of its attempt; the next one if None.
            keep_answers: Keep the models' answers too.

        Raises:
            LedgerError: Its genome no longer gives the recipe that was stored.
        """
        recipe = self._fresh.pop(row.candidate_id, None) or self._space.recipe(row.genome or {})
        if recipe.hash() != row.recipe_hash:
            raise LedgerError(
                f"candidate {row.candidate_id} no longer gives the recipe that is stored for it "
                f"({recipe.hash()[:12]} instead of {row.recipe_hash[:12]}): evomerge or a method's "
                "declaration changed. Resume with the code that the run was started with."
            )
        return Pending(
            candidate_id=row.candidate_id,
            recipe=recipe,
            split=split,
            number=number or self._state.next_number(row.candidate_id, split),
            lost=self._state.lost[row.candidate_id, split],
            keep_answers=keep_answers,
        )

    def enough(self, outstanding: int, device_s: float) -> Iterator[Event]:
        """End the search with what is scored or handed out, if a rule says so.

        Args:
            outstanding: Candidates that are handed out.
            device_s: Device-seconds of all attempts, waiting included.
        """
        state, watch = self._state, self._watch
        reason = "" if watch is None else watch.reason(device_s)
        budget = state.progress.evaluated + outstanding
        if watch is None or not reason or budget >= state.budget:
            return
        body = {"budget": budget, "reason": reason}
        event = Enough(reason, state.progress)
        yield from self._patience.write(lambda: self._writer.decide("extend", body, event))
        state.decided("extend", body)
        watch.extended(body)
        yield event

    def scored(self, candidate_id: str, blocks: Sequence[Block]) -> None:
        """Take a candidate's scores on the search split, which the searcher will be told of."""
        if self._examples is not None:
            self._examples.keep(candidate_id, blocks)

    def results(self, names: Iterable[str]) -> list[list[Any]]:
        """Return the results of settled candidates, as tells are stored.

        Returns:
            ``[id, utilities or null, error]`` each, and the violation where there are constraints.
        """
        state, objectives = self._state, self._objectives
        found: list[list[Any]] = []
        for name in names:
            failure = state.failures[SEARCH].get(name)
            if failure is not None:
                result: list[Any] = [name, None, failure.message or failure.kind]
            else:
                utilities = objectives.utilities(state.estimates[SEARCH][name])
                result = [name, list(utilities), ""]
            if objectives.constraints:
                result.append(self._violation(name, failure))
            found.append(result)
        return found

    def _violation(self, name: str, failure: Failure | None) -> float:
        """Return by how much a settled candidate misses the constraints, as far as is known."""
        if failure is None:
            return self._objectives.violation(self._state.estimates[SEARCH][name])
        if failure.kind != CONSTRAINT or self._sizes is None:
            return 0.0
        recipe = self._space.recipe(self._state.candidates[name].genome or {})
        estimates = self._sizes.estimates(recipe)
        return sum(item.violation(estimates) for item in self._objectives.limits)

    def tell(self, tell: Tell) -> Generator[Event, None, None]:
        """Store results, then tell them to the searcher."""
        yield from self._patience.write(lambda: self.write(tell))
        self.told(tell)
        if tell.event is not None:
            yield tell.event

    def write(self, tell: Tell) -> None:
        """Store results; the caller has ``told`` follow once that is committed."""
        self._writer.decide("tell", tell.body, tell.event)

    def told(self, tell: Tell) -> None:
        """Tell the searcher what is committed."""
        self._state.decided("tell", tell.body)
        if self._watch is not None:
            self._watch.told(tell.body["results"])
        examples_of = None if self._examples is None else self._examples.take
        results = evaluations_of(tell.body["results"], examples_of, self._measures_of)
        self._searcher.tell(results)
