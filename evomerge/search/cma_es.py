"""The CMA-ES searcher: pycma in the unit cube, rebuilt by replaying its asks and tells.

Whole numbers, choices and coarse steps are pycma's integer variables, each value one wide, so that
its integer handling keeps them from freezing early. With starts, generation 0 holds them and
samples around ``x0``; the best of it becomes the first mean, with the full first step: known-good
merges lie close to better ones, and a bad start costs no more than a bad ``x0``.
"""

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import SearchError
from evomerge.recipes.declarations import Parameter
from evomerge.recipes.space import SearchSpace
from evomerge.search.asks import AskBook, Told, one_objective, seeded_globals
from evomerge.search.protocol import Evaluation, Proposal, Start, searcher

SEPARABLE_ABOVE = 300
"""Genes above which the covariance stays diagonal: a full one learns too slowly and costs d²."""
COARSE = 100
"""Values up to which a gene on cells is an integer variable; more are as good as continuous."""

Array = NDArray[np.float64]


@dataclass
class _Batch:
    """One ask's samples as pycma knows them, and the results that are back."""

    epoch: int
    n_starts: int
    samples: list[Array]
    told: dict[int, Told] = field(default_factory=dict)
    size: int = 0


@searcher(
    "cma_es",
    parameters=[
        Parameter("population", "int", "Candidates per generation; 4 + ⌊3 ln d⌋ if absent.", low=4),
        Parameter(
            "sigma", "float", "First step; the genome is 1 wide.", default=0.2, low=1e-3, high=1
        ),
        Parameter("x0", "list", "First mean: one number in [0, 1] a gene; the middle if absent."),
        Parameter(
            "restarts",
            "str",
            "After convergence: nothing, double the population, or alternate large and small.",
            default="ipop",
            choices=("none", "ipop", "bipop"),
        ),
        Parameter(
            "separable",
            "str",
            f"Diagonal covariance; auto above {SEPARABLE_ABOVE} genes.",
            default="auto",
            choices=("auto", "on", "off"),
        ),
        Parameter("active", "bool", "Learn from bad samples too.", default=True),
    ],
    paper="arXiv:1604.00772",
)
class CmaEsSearcher:
    """Adapt a normal distribution to the best candidates (CMA-ES, by pycma).

    Failures rank worst; a generation that failed as a whole changes nothing. A generation is used
    once all of its results are back; late ones of an earlier generation join the next update with
    their steps clipped.

    Args:
        space: What is searched.
        seed: Equal seeds and equal tells give equal proposals.
        n_objectives: Must be 1.
        starts: Genomes of generation 0.
        population: Candidates per generation; None takes 4 + ⌊3 ln d⌋.
        sigma: First step, in widths of the cube.
        x0: First mean, length ``d``, in [0, 1]; None takes the middle.
        restarts: ``none``, ``ipop`` or ``bipop``.
        separable: ``auto``, ``on`` or ``off``.
        active: Use negative weights.

    Raises:
        SearchError: Several objectives, or ``x0`` of another length or out of the cube.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        n_objectives: int = 1,
        starts: Sequence[Start] = (),
        population: int | None = None,
        sigma: float = 0.2,
        x0: Sequence[float] | None = None,
        restarts: Literal["none", "ipop", "bipop"] = "ipop",
        separable: Literal["auto", "on", "off"] = "auto",
        active: bool = True,
    ) -> None:
        one_objective("cma_es", n_objectives)
        d = space.n_dims
        self._book = AskBook("cma_es", space, seed=seed, starts=starts)
        self._population = population or 4 + math.floor(3 * math.log(d))
        self._sigma = sigma
        self._x0 = _first_mean(x0, d)
        self._restarts = restarts
        self._diagonal = separable == "on" or (separable == "auto" and d > SEPARABLE_ABOVE)
        self._active = active
        cells = np.array([gene.n_values for gene in space.genes])
        self._integers = np.flatnonzero((cells > 1) & (cells <= COARSE))
        self._width = np.ones(d)
        self._width[self._integers] = cells[self._integers]
        self._with_starts = bool(starts)
        self._mean = self._x0
        self._es: Any = None
        self._rng = np.random.default_rng(seed)
        self._epoch = 0
        self._batches: dict[int, _Batch] = {}
        self._ready: list[tuple[Array, float | None]] = []
        self._late: list[tuple[Array, float | None]] = []
        self._best: tuple[float, Array] | None = None
        self._spent = {"large": 0, "small": 0}
        self._regime = "large"
        self._n_large = 0

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return the next generation, or ``n`` samples of the distribution as it is now."""
        space = self._book.space
        if self._with_starts and (self._book.n_starts or self._best is None):
            return self._ask_around_start(n)
        with self._seeded(0):
            if self._es is None:
                self._es = self._strategy(self._mean, self._population, self._sigma)
            elif self._es.stop() and self._restarts != "none":
                self._restart()
            size = self._book.size(n, self._es.popsize)
            samples = [np.asarray(s, dtype=float) for s in self._es.ask(size)]
        points = np.array([self._to_cube(sample) for sample in samples])
        self._batches[self._book.asked] = _Batch(self._epoch, 0, samples, size=size)
        return self._book.propose(points.reshape(size, space.n_dims))

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Take evaluations in any order; the distribution moves when a generation is complete."""
        for told in self._book.take(evaluations):
            if told.values is not None and (self._best is None or told.values[0] > self._best[0]):
                self._best = (told.values[0], told.genome)
            batch = self._batches[told.ask]
            batch.told[told.index] = told
            if len(batch.told) == batch.size:
                del self._batches[told.ask]
                self._finish(batch)

    def _ask_around_start(self, n: int | None) -> list[Proposal]:
        """Return starts and samples around the first mean; pycma doesn't know of either."""
        size = self._book.size(n, self._population)
        starts = self._book.take_starts(size)
        rng = self._book.generator()
        shape = (size - len(starts), self._book.space.n_dims)
        points = np.clip(self._x0 + self._sigma * rng.standard_normal(shape), 0, 1)
        self._batches[self._book.asked] = _Batch(-1, len(starts), [], size=size)
        return self._book.propose(points, starts=starts)

    def _finish(self, batch: _Batch) -> None:
        """Use a complete batch."""
        if batch.epoch < 0:
            if self._es is None and self._best is not None:
                self._mean = self._best[1]
            return
        if batch.epoch != self._epoch:  # sampled before a restart
            return
        results = [
            (sample, None if values is None else -values[0])
            for sample, values in (
                (batch.samples[i], batch.told[i].values) for i in range(batch.size)
            )
        ]
        if self._es._flgtelldone:
            self._late += results
            return
        self._ready += results
        if len(self._ready) >= self._es.popsize:
            self._update()

    def _update(self) -> None:
        """Tell pycma what is ready."""
        own, late = self._ready, self._late
        if all(loss is None for _, loss in own + late):
            self._ready = []  # nothing is known of any of them
            return
        self._ready, self._late = [], []
        losses = [loss for _, loss in own + late if loss is not None]
        worst = max(losses) + (max(losses) - min(losses)) + 1e-9
        samples = [sample for sample, _ in own + late]
        f = np.array([worst if loss is None else loss for _, loss in own + late])
        foreign = np.arange(len(samples)) >= len(own)
        keep = _thin(f, self._es.popsize)
        check = [i for i, k in enumerate(keep) if foreign[k]]
        self._spent[self._regime] += len(own)
        with self._seeded(1):
            self._es.tell(
                [samples[k] for k in keep], [float(f[k]) for k in keep], check_points=check or None
            )

    def _strategy(self, mean: Array, population: int, sigma: float) -> Any:
        """Return pycma's strategy around ``mean``, a point of the cube."""
        import cma

        half = np.zeros(len(mean))
        half[self._integers] = 0.5
        inside = np.clip(mean, 1e-3, 1 - 1e-3)
        options = {
            "bounds": [list(-half), list(self._width - half)],
            "popsize": population,
            "CMA_stds": list(self._width),
            "CMA_diagonal": self._diagonal,
            "CMA_active": self._active,
            "integer_variables": [int(i) for i in self._integers],
            "seed": math.nan,  # seeded before each call instead
            "randn": lambda *shape: self._rng.standard_normal(shape),
            "tolx": 1e-6,  # finer than the grid
            "tolflatfitness": 5,
            "verbose": -9,
        }
        return cma.CMAEvolutionStrategy(inside * self._width - half, sigma, options)

    @contextmanager
    def _seeded(self, part: int) -> Iterator[None]:
        """Seed what pycma draws from: our generator; with integers the global one too."""
        seed = (self._book.seed, self._book.asked, part)
        self._rng = np.random.default_rng(seed)
        # Saving the global state costs as much as a small generation.
        drawn = seeded_globals(*seed) if len(self._integers) else nullcontext()
        with drawn, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield

    def _to_cube(self, sample: Array) -> Array:
        shifted = sample.copy()
        shifted[self._integers] += 0.5
        point: Array = shifted / self._width
        return point

    def _restart(self) -> None:
        """Begin anew at a random mean: with a larger population, or (bipop) a small one."""
        rng = np.random.default_rng((self._book.seed, self._book.asked, 2))
        mean = rng.random(self._book.space.n_dims)
        small = self._restarts == "bipop" and self._spent["small"] < self._spent["large"]
        population, sigma = self._population, self._sigma
        if small:
            ratio = 0.5 * 2**self._n_large
            u, v = rng.random(2)
            population = max(4, math.floor(population * ratio ** (u * u)))
            sigma *= 10 ** (-2 * v)
        else:
            self._n_large += 1
            population *= 2**self._n_large
        self._regime = "small" if small else "large"
        self._epoch += 1
        self._ready, self._late = [], []
        self._es = self._strategy(mean, population, sigma)


def _first_mean(x0: Sequence[float] | None, d: int) -> Array:
    if x0 is None:
        return np.full(d, 0.5)
    mean = np.array(x0, dtype=float)
    if mean.shape != (d,) or not ((mean >= 0) & (mean <= 1)).all():
        raise SearchError(
            f"cma_es got an x0 of {mean.size} numbers between {mean.min():g} and {mean.max():g}; "
            f"expected {d}, one a gene, each in [0, 1]. Correct search.options.x0."
        )
    return mean


def _thin(f: Array, size: int) -> list[int]:
    """Return ``size`` of the indices of ``f``, evenly spread over its ranks; all if fewer."""
    if len(f) <= size:
        return list(range(len(f)))
    ranked = np.argsort(f, kind="stable")
    at = np.floor((np.arange(size) + 0.5) * len(f) / size).astype(int)
    return sorted(int(i) for i in ranked[at])
