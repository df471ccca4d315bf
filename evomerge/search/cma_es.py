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
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import SearchError
from evomerge.recipes.declarations import Parameter
from evomerge.recipes.space import SearchSpace
from evomerge.search.asks import (
    AskBook,
    Told,
    need_cube,
    one_objective,
    prior_means,
    ranked,
    seeded_globals,
)
from evomerge.search.protocol import Evaluation, Proposal, Start, searcher
from evomerge.search.pycma import hash_anew
from evomerge.search.snapshots import Snapshot, put_back, take_snapshot

SEPARABLE_ABOVE = 300
"""Genes above which the covariance stays diagonal: a full one learns too slowly and costs d²."""
COARSE = 100
"""Values up to which a gene on cells is an integer variable; more are as good as continuous."""
SLOTS_A_SAMPLE = 4
"""Candidates out at a time for each of a generation: results are then some 4 updates old."""
INJECTED = -1
"""Update of a sample that wasn't drawn here."""
ANCHOR = 0.5
"""How far an update with late results looks back from the mean to where they were drawn."""
STATE = (
    *("_asks", "_best", "_book", "_epoch", "_es", "_mean", "_n_large", "_ready", "_regime"),
    *("_spent", "_starts_out"),
)

Array = NDArray[np.float64]


@dataclass
class _Drawn:
    """One ask's samples as pycma knows them, and the results that are back.

    ``epoch`` counts restarts, −1 being the time before the first strategy; ``update`` counts the
    strategy's updates; ``mean`` is its mean at that time, in pycma's own coordinates. The first
    ``n_starts`` weren't drawn from it.
    """

    epoch: int
    update: int
    mean: Array
    samples: list[Array]
    size: int
    n_starts: int = 0
    whole: bool = False
    told: dict[int, Told] = field(default_factory=dict)


@dataclass(frozen=True)
class _Result:
    """A sample, what it came to, the update and mean that it was drawn from."""

    sample: Array
    told: Told
    update: int
    mean: Array


@searcher(
    "cma_es",
    parameters=[
        Parameter("population", "int", "Candidates per generation; 4 + ⌊3 ln d⌋ if absent.", low=4),
        Parameter(
            "sigma", "float", "First step; the genome is 1 wide.", default=0.2, low=1e-3, high=1
        ),
        Parameter(
            "x0", "list", "First mean: one number in [0, 1] a gene; priors or the middle if absent."
        ),
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

    Failures rank worst; a generation that failed as a whole changes nothing. A gene that didn't
    count in some of a generation's candidates moves its mean by as much less.

    Late results: ``ask()`` gives a generation that is used as a whole, once all of it is back.
    What ``ask(n)`` gave is used in the order of arrival: as soon as a generation's worth of results
    is there, whichever asks they are from, the distribution moves. A sample that was drawn before
    an earlier update is clipped to the length that a sample may have (Hansen 2011), and such an
    update takes its steps from a point half way between the mean of now and the mean of the
    samples' own time. Steps from the mean of now alone make the step size collapse, since several
    updates' samples of one old mean seem to disagree; steps from the old mean alone count one move
    several times. Without ``population``, a generation has at least a quarter as many samples as
    are out. Samples from before a restart, or from before all starts were back, change nothing but
    the best known.

    What is injected takes the place of samples, of half a whole generation at most, and counts as
    a sample whose step is clipped like that of a late one.

    Args:
        space: What is searched.
        seed: Equal seeds and equal tells give equal proposals.
        n_objectives: Must be 1.
        starts: Genomes of generation 0.
        population: Candidates per generation; None takes 4 + ⌊3 ln d⌋, or more as said above.
        sigma: First step, in widths of the cube.
        x0: First mean, length ``d``, in [0, 1]; None takes genes' priors, else the middle.
        restarts: ``none``, ``ipop`` or ``bipop``.
        separable: ``auto``, ``on`` or ``off``.
        active: Use negative weights.

    Raises:
        SearchError: A space of paths, several objectives, or ``x0`` of another length or out of the
            cube.
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
        need_cube("cma_es", space)
        one_objective("cma_es", n_objectives)
        d = space.n_dims
        self._book = AskBook("cma_es", space, seed=seed, starts=starts)
        self._given_population = population
        self._sigma = sigma
        self._x0 = prior_means(space) if x0 is None else _first_mean(x0, d)
        self._restarts = restarts
        self._diagonal = separable == "on" or (separable == "auto" and d > SEPARABLE_ABOVE)
        self._active = active
        cells = np.array([gene.n_values for gene in space.genes])
        self._integers = np.flatnonzero((cells > 1) & (cells <= COARSE))
        self._width = np.ones(d)
        self._width[self._integers] = cells[self._integers]
        self._with_starts = bool(starts)
        self._es: Any = None
        self._mean = self._x0
        self._rng = np.random.default_rng(seed)
        self._epoch = 0
        self._asks: dict[int, _Drawn] = {}
        self._starts_out = 0
        self._ready: list[_Result] = []
        self._best: tuple[tuple[float, float], Array] | None = None
        self._spent = {"large": 0, "small": 0}
        self._regime = "large"
        self._n_large = 0

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return the next generation, or ``n`` samples of the distribution as it is now."""
        book = self._book
        if self._es is None and (book.n_starts or self._starts_out or self._unscored_starts()):
            return self._ask_around_start(n)
        with self._seeded(0):
            if self._es is None:
                mean = self._best[1] if self._with_starts and self._best else self._x0
                self._begin(mean, self._population(n), self._sigma, whole=n is None)
            elif self._es.stop() and self._restarts != "none":
                self._restart(n)
            size = self._es.popsize if n is None else book.size(n, self._es.popsize)
            starts = book.take_starts(size // 2 if n is None else size)
            n_drawn = size - len(starts)
            drawn = [np.asarray(s, dtype=float) for s in self._es.ask(n_drawn)] if n_drawn else []
            if n is not None:
                drawn = book.without_copies(drawn, self._to_cube, lambda: self._es.ask(1)[0])
        points = [self._to_cube(sample) for sample in drawn]
        samples = [*(self._from_cube(start.genome) for start in starts), *drawn]
        self._starts_out += len(starts)
        self._asks[book.asked] = _Drawn(
            *(self._epoch, self._es.countiter, self._mean, samples, size),
            n_starts=len(starts),
            whole=n is None,
        )
        return book.propose(points, starts=starts)

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Take evaluations in any order; see "Late results" above."""
        for told in self._book.take(evaluations):
            standing = told.standing
            if standing is not None and (self._best is None or standing > self._best[0]):
                self._best = (standing, told.genome)
            drawn = self._asks[told.ask]
            drawn.told[told.index] = told
            self._starts_out -= told.index < drawn.n_starts
            complete = len(drawn.told) == drawn.size
            if complete:
                del self._asks[told.ask]
            if not drawn.whole:
                self._take(drawn, told)
            elif complete:
                # Pycma knows some of its samples by their place in a generation.
                for index in [*range(drawn.n_starts, drawn.size), *range(drawn.n_starts)]:
                    self._take(drawn, drawn.told[index])

    def inject(self, start: Start) -> None:
        """Propose ``start`` at the next ask."""
        self._book.add_start(start)

    def snapshot(self) -> Snapshot:
        """Return the state as plain data and arrays."""
        return take_snapshot(self, STATE)

    def restore(self, snapshot: Snapshot) -> None:
        """Take the state of a snapshot."""
        # Pycma's functions aren't stored, so another strategy lends its own.
        self._es = self._strategy(self._x0, 4, self._sigma, whole=False)
        hash_anew(put_back(self, snapshot))

    def _unscored_starts(self) -> bool:
        """Say if there were starts and nothing has been scored yet."""
        return self._with_starts and self._best is None

    def _ask_around_start(self, n: int | None) -> list[Proposal]:
        """Return starts and samples around the first mean; pycma doesn't know of either."""
        _cma()  # takes a second, which costs nothing now, while workers are still being started
        size = self._book.size(n, self._population(n))
        starts = self._book.take_starts(size)
        rng = self._book.generator()
        shape = (size - len(starts), self._book.space.n_dims)
        known = n is not None and self._best is not None
        centre = self._best[1] if known and self._best else self._x0
        points = np.clip(centre + self._sigma * rng.standard_normal(shape), 0, 1)
        self._starts_out += len(starts)
        self._asks[self._book.asked] = _Drawn(
            -1, 0, centre, [], size, n_starts=len(starts), whole=n is None
        )
        return self._book.propose(points, starts=starts)

    def _take(self, drawn: _Drawn, told: Told) -> None:
        """Keep a result for the next update, and update when there are enough."""
        if drawn.epoch != self._epoch:
            return
        sample = drawn.samples[told.index]
        update = INJECTED if told.index < drawn.n_starts else drawn.update
        self._ready.append(_Result(sample, told, update, drawn.mean))
        if len(self._ready) >= self._es.popsize:
            self._update()

    def _update(self) -> None:
        """Move the distribution by what is ready."""
        es, results = self._es, self._ready
        self._ready = []
        utilities = ranked([result.told for result in results])
        losses = [-utility for utility in utilities if utility is not None]
        if not losses:
            return  # nothing is known of any of them
        worst = max(losses) + (max(losses) - min(losses)) + 1e-9
        before = es.mean.copy()
        late = [i for i, result in enumerate(results) if result.update != es.countiter]
        if late:
            then = np.mean([result.mean for result in results], axis=0)
            es.mean = es.mean + ANCHOR * (then - es.mean)
            es._flgtelldone = False  # nothing need have been asked since the update before
        es.pop_injection_directions = []  # any left were meant for a generation asked for whole
        self._spent[self._regime] += len(results)
        with self._seeded(1):
            es.tell(
                [result.sample for result in results],
                [worst if utility is None else -utility for utility in utilities],
                check_points=late or None,
            )
        # What didn't count moved at random, so that part of the move is taken back.
        share = self._book.space.active(np.array([r.told.genome for r in results])).mean(axis=0)
        if (share < 1).any():
            es.mean = before + share * (es.mean - before)
        self._mean = es.mean.copy()

    def _population(self, n: int | None) -> int:
        """Return a generation's size: as given, or by the genes and the candidates out."""
        if self._given_population:
            return self._given_population
        usual = 4 + math.floor(3 * math.log(self._book.space.n_dims))
        out = 0 if n is None else self._book.n_waiting + n
        return max(usual, math.ceil(out / SLOTS_A_SAMPLE))

    def _begin(self, mean: Array, population: int, sigma: float, *, whole: bool) -> None:
        """Start a strategy around ``mean``, a point of the cube."""
        self._es = self._strategy(mean, population, sigma, whole=whole)
        self._mean = self._es.mean.copy()

    def _strategy(self, mean: Array, population: int, sigma: float, *, whole: bool) -> Any:
        """Return pycma's strategy around ``mean``; ``whole`` if it gets whole generations."""
        cma = _cma()
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
        if not whole:  # these two count on samples of one generation coming back in their order
            options |= {"AdaptSigma": cma.sigma_adaptation.CMAAdaptSigmaCSA, "CMA_mirrors": 0}
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

    def _from_cube(self, genome: Array) -> Array:
        sample: Array = genome * self._width
        sample[self._integers] -= 0.5
        return sample

    def _restart(self, n: int | None) -> None:
        """Begin anew at a random mean: with a larger population, or (bipop) a small one."""
        rng = np.random.default_rng((self._book.seed, self._book.asked, 2))
        mean = rng.random(self._book.space.n_dims)
        small = self._restarts == "bipop" and self._spent["small"] < self._spent["large"]
        population, sigma = self._population(n), self._sigma
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
        self._ready = []
        self._begin(mean, population, sigma, whole=n is None)


def _cma() -> ModuleType:
    """Import pycma, which warns on the way where matplotlib is absent; it only plots with it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Could not import matplotlib", module="cma")
        import cma
    module: ModuleType = cma
    return module


def _first_mean(x0: Sequence[float], d: int) -> Array:
    mean = np.array(x0, dtype=float)
    if mean.shape != (d,) or not ((mean >= 0) & (mean <= 1)).all():
        raise SearchError(
            f"cma_es got an x0 of {mean.size} numbers between {mean.min():g} and {mean.max():g}; "
            f"expected {d}, one a gene, each in [0, 1]. Correct search.options.x0."
        )
    return mean
