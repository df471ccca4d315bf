"""Searchers of several objectives by Optuna's samplers: NSGA-II, NSGA-III and MOTPE, by name."""

import math
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from evomerge.recipes.declarations import Parameter
from evomerge.recipes.space import SearchSpace
from evomerge.search.optuna import OptunaSearcher
from evomerge.search.protocol import Start, searcher

Crossover = Literal["sbx", "uniform", "blx"]

_OPERATORS = [
    Parameter(
        "crossover",
        "str",
        "How numbers of two parents are joined: near one of them (sbx), either's (uniform), or "
        "anywhere between and around (blx). Choices are either's.",
        default="sbx",
        choices=("sbx", "uniform", "blx"),
    ),
    Parameter(
        "crossover_rate", "float", "Share of children of two parents.", default=0.9, low=0, high=1
    ),
    Parameter(
        "mutation_rate", "float", "Share of a child's genes that change; 1/d if absent.", low=0
    ),
    Parameter(
        "mutation_eta",
        "float",
        "How close a changed number stays to what it was; the larger, the closer.",
        default=20.0,
        low=0,
    ),
]


class _GeneticSearcher(OptunaSearcher):
    """What NSGA-II and NSGA-III share: Optuna's genetic samplers and their operators."""

    kind: ClassVar[str]
    sampler_name: ClassVar[str]

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        n_objectives: int = 1,
        starts: Sequence[Start] = (),
        population: int = 20,
        crossover: Crossover = "sbx",
        crossover_rate: float = 0.9,
        mutation_rate: float | None = None,
        mutation_eta: float = 20.0,
    ) -> None:
        settings = _operators(crossover, crossover_rate, mutation_rate, mutation_eta)
        super().__init__(
            space,
            seed=seed,
            n_objectives=n_objectives,
            starts=starts,
            sampler=self.sampler_name,
            population=population,
            settings={**settings, **self.own_settings(n_objectives, population)},
            name=self.kind,
        )

    def own_settings(self, n_objectives: int, population: int) -> dict[str, Any]:
        """Return the sampler's settings beside the operators."""
        return {}


@searcher(
    "nsga2",
    parameters=[
        Parameter("population", "int", "Candidates per generation.", default=20, low=4),
        *_OPERATORS,
    ],
    paper="doi:10.1109/4235.996017",
    multi_objective=True,
)
class Nsga2Searcher(_GeneticSearcher):
    """Breed the candidates that fewest dominate, lonely ones first (NSGA-II, by Optuna).

    Numbers are bred by simulated binary crossover and polynomial mutation, choices by uniform
    crossover and drawing anew. What misses constraints comes after all that keeps them. Failures
    get the worst utilities seen.

    Late results: as with ``optuna``. A generation is full once ``population`` results are back,
    whichever asks they are from; a later result joins the generation that is open then.

    Args:
        space: What is searched.
        seed: Equal seeds and equal tells give equal proposals.
        n_objectives: Number ``k`` of objectives; two are what it is made for.
        starts: Genomes of generation 0.
        population: Candidates per generation.
        crossover: ``sbx``, ``uniform`` or ``blx``.
        crossover_rate: Share of children of two parents.
        mutation_rate: Share of a child's genes that change; None takes 1/d.
        mutation_eta: Distribution index of the polynomial mutation.

    Raises:
        SearchError: A space of paths.
    """

    kind = "nsga2"
    sampler_name = "NSGAIISampler"


@searcher(
    "nsga3",
    parameters=[
        Parameter("population", "int", "Candidates per generation.", default=20, low=4),
        *_OPERATORS,
    ],
    paper="doi:10.1109/TEVC.2013.2281535",
    multi_objective=True,
)
class Nsga3Searcher(_GeneticSearcher):
    """Breed candidates that spread along directions (NSGA-III, by Optuna): for 3 and more.

    There are as many directions as fit into ``population``, evenly spread over the trade-offs
    (Das and Dennis). Otherwise it is as ``nsga2``.

    Late results: as with ``nsga2``.

    Args:
        space: What is searched.
        seed: Equal seeds and equal tells give equal proposals.
        n_objectives: Number ``k`` of objectives.
        starts: Genomes of generation 0.
        population: Candidates per generation.
        crossover: ``sbx``, ``uniform`` or ``blx``.
        crossover_rate: Share of children of two parents.
        mutation_rate: Share of a child's genes that change; None takes 1/d.
        mutation_eta: Distribution index of the polynomial mutation.

    Raises:
        SearchError: A space of paths.
    """

    kind = "nsga3"
    sampler_name = "NSGAIIISampler"

    def own_settings(self, n_objectives: int, population: int) -> dict[str, Any]:
        """Return the number of directions, by their divisions."""
        return {"dividing_parameter": divisions(n_objectives, population)}


@searcher(
    "motpe",
    parameters=[
        Parameter("population", "int", "Candidates per generation.", default=16, low=1),
        Parameter(
            "window",
            "int",
            "Trials that are learnt from: half the best, half the latest.",
            default=1000,
            low=50,
        ),
        Parameter("startup", "int", "Candidates drawn at random first.", default=10, low=1),
    ],
    paper="doi:10.1145/3377930.3389817",
    multi_objective=True,
)
class MotpeSearcher(OptunaSearcher):
    """Model where good and where bad candidates of several objectives lie (MOTPE, by Optuna).

    Good ones are those of the first fronts, weighted by the hypervolume that they add. What misses
    constraints counts as bad. Failures get the worst utilities seen.

    Late results: as with TPE of ``optuna``: counted at the next ask, running candidates count as
    bad ones.

    Args:
        space: What is searched.
        seed: Equal seeds and equal tells give equal proposals.
        n_objectives: Number ``k`` of objectives.
        starts: Genomes of generation 0.
        population: Candidates per generation.
        window: Most trials that are kept.
        startup: Candidates drawn at random first; starts count.

    Raises:
        SearchError: A space of paths.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        n_objectives: int = 1,
        starts: Sequence[Start] = (),
        population: int = 16,
        window: int = 1000,
        startup: int = 10,
    ) -> None:
        super().__init__(
            space,
            seed=seed,
            n_objectives=n_objectives,
            starts=starts,
            sampler="TPESampler",
            population=population,
            window=window,
            settings={"n_startup_trials": startup},
            name="motpe",
        )


def divisions(n_objectives: int, population: int) -> int:
    """Return into how many steps NSGA-III divides each axis.

    That gives C(steps + k − 1, k − 1) directions: the most that are no more than ``population``.
    """
    if n_objectives == 1:
        return 1
    steps = 1
    while math.comb(steps + n_objectives, n_objectives - 1) <= population:
        steps += 1
    return steps


def _operators(
    crossover: Crossover, crossover_rate: float, mutation_rate: float | None, mutation_eta: float
) -> dict[str, Any]:
    """Return the settings of Optuna's genetic samplers."""
    from optuna.samplers import nsgaii

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental features say so each time
        kinds = {
            "sbx": nsgaii.SBXCrossover,
            "uniform": nsgaii.UniformCrossover,
            "blx": nsgaii.BLXAlphaCrossover,
        }
        return {
            "crossover": kinds[crossover](),
            "crossover_prob": crossover_rate,
            "mutation_prob": mutation_rate,
            "mutation": nsgaii.PolynomialMutation(eta=mutation_eta),
        }
