"""The phases of a search: what each searches, how much of the budget it has, and who searches."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from evomerge.config.run import ROUTE_SEARCHERS, DataflowConfig, RunConfig, StageConfig
from evomerge.config.search import PhaseConfig
from evomerge.errors import Problem, RecipeError, SearchError
from evomerge.recipes.phases import PHASE, PhasedSpace
from evomerge.recipes.plan import has_search
from evomerge.recipes.recipe import Recipe
from evomerge.recipes.space import Genome, SearchSpace
from evomerge.runs.setup.builders import check_searcher, make_searcher
from evomerge.runs.setup.spaces import Spaces
from evomerge.search.phases import PhasedSearcher
from evomerge.search.protocol import SEARCHERS, Searcher, needs_examples, needs_measures


class Phases:
    """The phases of one run file.

    Args:
        config: The run file.
        spaces: Builds its spaces.
    """

    def __init__(self, config: RunConfig, spaces: Spaces) -> None:
        self._config = config
        self._spaces = spaces
        self._phases: Sequence[PhaseConfig] = config.search.phases or ()
        self._space: PhasedSpace | None = None

    def check(self, problems: list[Problem]) -> PhasedSpace | None:
        """Return the space of the whole search, its first phase begun, or None after a problem.

        A later phase is checked with the middle of the one before it as the winner.
        """
        n_problems = len(problems)
        self._check_plan(problems)
        if len(problems) > n_problems:
            return None
        winner: Recipe | None = None
        for index in range(len(self._phases)):
            found: list[Problem] = []
            config = self._phase(index, winner)
            space = self._spaces.checked(config, found)
            if not found:
                check_searcher(config, space, (), found)
            problems += [Problem(self._key(item.key, index), item.message) for item in found]
            if found or space is None:
                return None
            if index == 0:
                self._space = PhasedSpace(space)
            winner = space.recipe(space.decode(space.middle()))
        return self._space

    def searcher(self, starts: Sequence[tuple[str, Genome]], budget: int) -> Searcher:
        """Return a fresh searcher of all phases.

        Args:
            starts: (label, genome) that the first phase begins with.
            budget: Candidates that the phases share.
        """

        def begin(index: int, winner: NDArray[np.float64] | None) -> Searcher:
            return self._begin(index, winner, starts)

        names = [phase.searcher for phase in self._phases]
        wanted = any(needs_examples(SEARCHERS.get(name).value) for name in names if name)
        placed = any(needs_measures(SEARCHERS.get(name).value) for name in names if name)
        return PhasedSearcher(
            self.budgets(budget)[:-1], begin, needs_examples=wanted, needs_measures=placed
        )

    def budgets(self, budget: int) -> list[int]:
        """Return the candidates of each phase, ``budget`` in all, divided by shares."""
        shares = [phase.share for phase in self._phases]
        ends = [round(budget * part / sum(shares)) for part in accumulate(shares)]
        return [end - start for start, end in zip([0, *ends], ends, strict=False)]

    def _begin(
        self,
        index: int,
        winner: NDArray[np.float64] | None,
        starts: Sequence[tuple[str, Genome]],
    ) -> Searcher:
        whole = self._space
        assert whole is not None
        n_objectives = len(self._config.objectives)
        if winner is None:
            own = [(label, _without_phase(genome)) for label, genome in starts]
            return make_searcher(self._phase(0, None), whole.first, own, n_objectives)
        recipe = whole.recipe(whole.decode(winner))
        config = self._phase(index, recipe)
        problems: list[Problem] = []
        space = self._spaces.build(config, problems)
        if space is None:
            raise SearchError(
                f"phase {index + 1} can't go on from its winner: "
                + "; ".join(problem.message for problem in problems)
            )
        whole.enter(index, space)
        found = list(space.warm_starts()) if config.search.warm_starts else []
        return make_searcher(config, space, _with_winner(recipe, space, found), n_objectives)

    def _phase(self, index: int, winner: Recipe | None) -> RunConfig:
        """Return the run file as if phase ``index`` were all of it, going on from ``winner``."""
        config, phase = self._config, self._phases[index]
        flow = config.dataflow
        space = flow.space if flow is not None and phase.search != "parameters" else None
        searcher = phase.searcher or ROUTE_SEARCHERS.get(space or "", config.search.searcher)
        search = config.search.model_copy(
            update={
                "phases": None,
                "searcher": searcher,
                "options": phase.options,
                "seed": config.search.seed + index,
            }
        )
        changed: dict[str, object] = {"search": search}
        if phase.search == "parameters":
            changed["dataflow"] = _fixed_route(winner)
        elif phase.search == "dataflow" and winner is not None:
            changed["recipe"] = config.recipe.model_copy(update={"parameters": _stages(winner)})
        return config.model_copy(update=changed)

    def _check_plan(self, problems: list[Problem]) -> None:
        """Check that there is something to search in each phase, and enough budget for it."""
        config = self._config
        first = self._phases[0]
        flow = config.dataflow
        if any(p.search != "parameters" for p in self._phases) and (
            flow is None or flow.space is None
        ):
            message = "a phase searches the dataflow, and there is none. Give dataflow: {space: …}."
            problems.append(Problem("dataflow", message))
        if first.search == "dataflow" and any(
            has_search(stage.model_dump()) for stage in config.recipe.parameters
        ):
            message = (
                "the first phase searches routes alone, but recipe.parameters has values to be "
                "searched. Let a phase search the parameters first, or search both."
            )
            problems.append(Problem("search.phases[0].search", message))
        least = config.execution.workers if config.search.mode == "async" else 1
        for index, size in enumerate(self.budgets(config.search.budget)[:-1]):
            if size <= least:
                message = (
                    f"gives the phase {size} of {config.search.budget} candidates; it needs more "
                    f"than {least}. Raise its share, or search.budget."
                )
                problems.append(Problem(f"search.phases[{index}].share", message))

    def _key(self, key: str, index: int) -> str:
        """Return where a problem of a phase stands in the run file."""
        head, _, rest = key.partition(".")
        if head == "search" and rest.partition(".")[0].partition("[")[0] in ("searcher", "options"):
            return f"search.phases[{index}].{rest}"
        return key


def _without_phase(genome: Genome) -> Genome:
    return {name: value for name, value in genome.items() if name != PHASE}


def _with_winner(
    winner: Recipe, space: SearchSpace, starts: Sequence[tuple[str, Genome]]
) -> list[tuple[str, Genome]]:
    """Return a phase's starts, the winner before it first where the space has it."""
    try:
        genome = space.genome_of(winner)
    except RecipeError:
        return list(starts)
    label = next((label for label, start in starts if start == genome), "winner")
    return [(label, genome), *(item for item in starts if item[1] != genome)]


def _stages(winner: Recipe) -> list[StageConfig]:
    """Return the winner's stages as a run file holds them, every coefficient a number."""
    stages = winner.to_dict()["parameters"]
    return [
        StageConfig.model_validate(
            {
                "name": stage["name"],
                "method": stage["method"],
                "inputs": [item["source"] for item in stage["inputs"]],
                "base": stage["base"],
                "options": stage["options"],
            }
        )
        for stage in stages
    ]


def _fixed_route(winner: Recipe | None) -> DataflowConfig | None:
    if winner is None or winner.dataflow is None:
        return None
    return DataflowConfig.model_validate(winner.to_dict()["dataflow"])
