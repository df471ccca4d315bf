"""The cycleqd searcher: each task in turn is what is improved, the others what models are like."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import SearchError
from evomerge.recipes.declarations import Parameter
from evomerge.recipes.space import SearchSpace
from evomerge.search.asks import AskBook, need_cube
from evomerge.search.cycled_archives import CycledArchives, Result
from evomerge.search.grid_archive import Elite
from evomerge.search.protocol import Evaluation, Proposal, Start, searcher
from evomerge.search.snapshots import Snapshot, put_back, take_snapshot

SEED_VALUES = 100_000
"""A whole number with at least so many values is a seed: its values have no order."""
FEW_VALUES = 100
"""A gene with at most so many values is taken from either parent."""
WORST, BEST = 0.5, 0.8
"""What the worst and the best elite on an axis count there, when parents are drawn."""
STATE = ("_archives", "_book", "_drawn")

Array = NDArray[np.float64]


@searcher(
    "cycleqd",
    parameters=[
        Parameter("population", "int", "Candidates per generation.", default=12, low=1),
        Parameter("bins", "int", "Parts of each archive's axes.", default=15, low=1, high=100),
        Parameter(
            "spread",
            "float",
            "Standard deviation of the two parents' weights, which are 1 on average.",
            default=0.01,
            low=0.0,
            high=0.3,
        ),
        Parameter(
            "sigma",
            "float",
            "Step of a gene, where the space has no seeds to mutate; the genome is 1 wide.",
            default=0.05,
            low=0.0,
            high=0.5,
        ),
    ],
    paper="arXiv:2410.14735",
    multi_objective=True,
)
class CycleQdSearcher:
    """Improve one task after the other, each in an archive of what models do on the others.

    There is an archive an objective; its axes are the other objectives. Candidates take turns: each
    is made of two elites of the next objective's archive, and may join all of them. Elites that are
    good at everything are drawn more often. The child's numbers are the parents' mean with weights
    near 1 (for task arithmetic, and svd_scale, the mean of their task vectors); choices are either
    parent's. Then it is mutated: the seed of the objective's own expert is drawn anew, by place
    (svd_scale, whose inputs are best named in the objectives' order; any seed, if there are more or
    fewer than objectives). In a space without seeds its numbers take a normal step instead.

    The archives begin when all candidates of the first ask are back: the starts, or random ones.
    Axes go from 85 % of the worst of these to 115 % of the best; what lies outside counts as in the
    first or last bin. Failures and what misses constraints never become elites.

    Late results: a result joins the archives at the next ask, whichever ask it is from; until they
    begin, starts are crossed with each other.

    Args:
        space: What is searched.
        seed: Equal seeds and equal tells give equal proposals.
        n_objectives: Two or more.
        starts: Genomes of generation 0.
        population: Candidates per generation.
        bins: Parts of each archive's axes.
        spread: Standard deviation of the parents' weights.
        sigma: Step of a gene, where the space has no seeds.

    Raises:
        SearchError: One objective, or a space that is no cube.

    Source: Kuroki et al. 2024, arXiv:2410.14735. There a mutation adds to those of the parents;
    here it takes the place of the seed's earlier one, so that a recipe stays as short as it was.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        n_objectives: int = 1,
        starts: Sequence[Start] = (),
        population: int = 12,
        bins: int = 15,
        spread: float = 0.01,
        sigma: float = 0.05,
    ) -> None:
        need_cube("cycleqd", space)
        if n_objectives < 2:
            raise SearchError(
                "cycleqd improves several objectives in turn, but one is declared. Declare one for "
                "each task, or use map_elites with measures."
            )
        self._book = AskBook("cycleqd", space, seed=seed, starts=starts)
        self._archives = CycledArchives([str(k) for k in range(n_objectives)], bins)
        self._founders = [
            Elite("", np.asarray(start.genome, dtype=np.float64), 0.0, (0.0,) * (n_objectives - 1))
            for start in starts
        ]
        self._n_objectives = n_objectives
        self._population = population
        self._spread = spread
        self._sigma = sigma
        cells = np.array([gene.n_values for gene in space.genes])
        whole = np.array([gene.kind == "int" for gene in space.genes])
        self._seeds = np.flatnonzero(whole & (cells >= SEED_VALUES))
        self._either = (cells > 0) & (cells <= FEW_VALUES)
        self._either[self._seeds] = True
        self._drawn = 0

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return ``n`` proposals: starts that are left, then children of elites."""
        self._archives.settle()
        book = self._book
        # Nothing can be bred before the first are back; without a number asked for, they are all.
        alone = n is None and book.asked == 0 and book.n_starts > 0
        size = book.n_starts if alone else book.size(n, self._population)
        starts = book.take_starts(size)
        rng = book.generator()
        born = []
        for _ in range(size - len(starts)):
            born.append(self._child(self._drawn % self._n_objectives, rng))
            self._drawn += 1
        task = self._drawn % self._n_objectives
        born = book.without_copies(born, lambda item: item[0], lambda: self._child(task, rng))
        proposals = book.propose(
            [genome for genome, _ in born], starts=starts, parents=[names for _, names in born]
        )
        self._archives.asked(proposal.id for proposal in proposals)
        return proposals

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Take evaluations in any order; they join the archives at the next ask."""
        evaluations = list(evaluations)
        for item, told in zip(evaluations, self._book.take(evaluations), strict=True):
            values = None if told.violation else told.values
            place = told.ask, told.index
            self._archives.told(Result(item.candidate_id, place, told.genome, values))

    def inject(self, start: Start) -> None:
        """Propose ``start`` at the next ask."""
        self._book.add_start(start)

    def living(self) -> list[str]:
        """Return the candidates of the archives, and those that wait to join them."""
        return self._archives.living()

    def snapshot(self) -> Snapshot:
        """Return the state as plain data and arrays."""
        return take_snapshot(self, STATE)

    def restore(self, snapshot: Snapshot) -> None:
        """Take the state of a snapshot."""
        put_back(self, snapshot)

    def _child(self, task: int, rng: np.random.Generator) -> tuple[Array, tuple[str, ...]]:
        """Return a mutated child of two elites of a task's archive, and their ids."""
        grids = self._archives.grids
        elites = grids[task].elites if grids else self._founders
        if not elites:
            return rng.random(self._book.space.n_dims), ()
        one, two = _drawn(elites, rng)
        assert one.genome is not None
        assert two.genome is not None
        share = rng.normal(1.0, self._spread, size=2)
        x = (share[0] * one.genome + share[1] * two.genome) / share.sum()
        either = np.where(rng.random(len(x)) < 0.5, one.genome, two.genome)
        x = np.where(self._either, either, x)
        if len(self._seeds):
            own = len(self._seeds) == self._n_objectives
            x[self._seeds[task] if own else rng.choice(self._seeds)] = rng.random()
        else:
            x = np.where(self._either, x, x + self._sigma * rng.standard_normal(len(x)))
        parents = tuple(name for name in dict.fromkeys((one.id, two.id)) if name)
        return np.clip(x, 0.0, 1.0), parents


def _drawn(elites: Sequence[Elite], rng: np.random.Generator) -> tuple[Elite, Elite]:
    """Return two elites, good ones more often; one alone twice."""
    if len(elites) == 1:
        return elites[0], elites[0]
    chances = _chances(np.array([(item.quality, *item.measures) for item in elites]))
    one, two = rng.choice(len(elites), size=2, replace=False, p=chances)
    return elites[int(one)], elites[int(two)]


def _chances(values: Array) -> Array:
    """Return how often each row is drawn, shape ``(m,)``, from values on all axes, ``(m, k)``.

    On each axis the worst counts 0.5 and the best 0.8; a row's chance is in proportion to the
    product (section 3.4 of the paper; its code goes up to 1.3).
    """
    low, width = values.min(axis=0), np.ptp(values, axis=0)
    places = np.divide(values - low, width, out=np.ones_like(values), where=width > 0)
    worth: Array = (WORST + (BEST - WORST) * places).prod(axis=1)
    return worth / math.fsum(worth)
