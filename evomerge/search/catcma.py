"""The CatCMA searcher: CatCMA with margin (by cmaes) in the unit cube, rebuilt by replay.

Numbers are drawn from a normal distribution, choices from probabilities of their own, and both
learn from one ranking; a margin keeps whole numbers and choices from freezing. That suits spaces
with many switches, such as Sakana's routes, where a normal distribution cut into cells is weak.
"""

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evomerge.recipes.declarations import Parameter
from evomerge.recipes.genes import Gene
from evomerge.recipes.space import SearchSpace
from evomerge.search.asks import AskBook, Told, need_cube, one_objective, prior_means, ranked
from evomerge.search.protocol import Evaluation, Proposal, Start, searcher
from evomerge.search.snapshots import Snapshot, put_back, take_snapshot

COARSE = 100
"""Values up to which a gene on cells is an integer variable; more are as good as continuous."""
NOTHING = (-math.inf, -math.inf)
"""Standing that is worse than any."""
KEEP = 0.9
"""Probability with which the best start's choices are drawn at first."""
PRIOR_SIGMA = 1 / 6
"""Width of the normal distribution whose share of each cell is a choice's first probability."""
INJECTED = -1
"""Update of a sample that wasn't drawn here."""
ANCHOR = 0.5
"""How far an update with late results looks back to where they were drawn, as in ``cma_es``."""
SLOTS_A_SAMPLE = 4
"""Candidates out at a time for each of a generation: results are then some 4 updates old."""
STATE = (
    *("_asks", "_best", "_book", "_epoch", "_es", "_highest", "_mean", "_n_restarts", "_ready"),
    *("_starts_out", "_stalled"),
)

Array = NDArray[np.float64]


@dataclass
class _Drawn:
    """One ask's samples as cmaes knows them, and the results that are back.

    ``epoch`` counts restarts, −1 being the time before the first strategy; ``update`` counts the
    strategy's updates; ``mean`` is its mean at that time. The first ``n_starts`` weren't drawn from
    it.
    """

    epoch: int
    update: int
    mean: Array
    samples: list[Any]
    size: int
    n_starts: int = 0
    whole: bool = False
    told: dict[int, Told] = field(default_factory=dict)


@dataclass(frozen=True)
class _Result:
    """A sample, what it came to, the update and mean that it was drawn from."""

    sample: Any
    told: Told
    update: int
    mean: Array


@searcher(
    "catcma",
    parameters=[
        Parameter("population", "int", "Candidates per generation; 4 + ⌊3 ln d⌋ if absent.", low=4),
        Parameter(
            "sigma", "float", "First step; the genome is 1 wide.", default=0.2, low=1e-3, high=1
        ),
        Parameter(
            "restarts",
            "str",
            "When nothing better comes for long: go on, or begin anew with twice the population.",
            default="ipop",
            choices=("none", "ipop"),
        ),
    ],
    paper="arXiv:2504.07884",
)
class CatCmaSearcher:
    """Adapt a normal distribution and the probabilities of choices (CatCMA with margin, by cmaes).

    Failures rank worst; a generation that failed as a whole changes nothing. Genes' priors are the
    first mean; a choice's first probabilities are the shares of its cells under a normal
    distribution around its prior. A gene that didn't count in some of a generation's candidates
    moves its mean by as much less.

    Late results: ``ask()`` gives a generation that is used as a whole, once all of it is back. What
    ``ask(n)`` gave is used in the order of arrival: as soon as a generation's worth of results is
    there, whichever asks they are from, the distribution moves. Samples from before an earlier
    update are handled as in ``cma_es``: clipped to the length that a sample may have, with steps
    taken from half way between the mean of now and that of their time. Without ``population``, a
    generation has at least a quarter as many samples as are out. Samples from before a restart, or
    from before all starts were back, change nothing but the best known. What is injected is
    handled as in ``cma_es``. ``ask(n)`` draws again, up to eight times, what was proposed before,
    in spaces of whole numbers, steps and choices.

    Args:
        space: What is searched; not one of paths.
        seed: Equal seeds and equal tells give equal proposals.
        n_objectives: Must be 1.
        starts: Genomes of generation 0.
        population: Candidates per generation; None takes 4 + ⌊3 ln d⌋, or more as said above.
        sigma: First step, in widths of the cube.
        restarts: ``none`` or ``ipop``.

    Raises:
        SearchError: Several objectives, or a space of paths.
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
        restarts: Literal["none", "ipop"] = "ipop",
    ) -> None:
        need_cube("catcma", space)
        one_objective("catcma", n_objectives)
        self._book = AskBook("catcma", space, seed=seed, starts=starts)
        self._given_population = population
        self._sigma = sigma
        self._restarts = restarts
        self._cells = np.array([gene.n_values for gene in space.genes])
        choices = np.array([gene.kind == "categorical" for gene in space.genes])
        self._choices = np.flatnonzero(choices & (self._cells > 1))
        self._integers = np.flatnonzero(~choices & (self._cells > 1) & (self._cells <= COARSE))
        cells = np.concatenate([self._choices, self._integers])
        self._floats = np.setdiff1d(np.arange(space.n_dims), cells)
        self._x0 = prior_means(space)
        self._with_starts = bool(starts)
        self._es: Any = None
        self._mean = np.empty(0)
        self._asks: dict[int, _Drawn] = {}
        self._ready: list[_Result] = []
        self._starts_out = 0
        self._best: tuple[tuple[float, float], Array] | None = None
        self._highest = NOTHING
        self._stalled = 0
        self._epoch = -1
        self._n_restarts = 0

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return the next generation, or ``n`` samples of the distribution as it is now."""
        book = self._book
        early = self._epoch < 0 and bool(book.n_starts or self._starts_out or self._unscored())
        if self._epoch < 0 and not early:
            self._begin(n)
        elif self._es is None:
            self._es = self._strategy(self._x0, self._population(n))
        elif self._stalled > self._patience() and self._restarts != "none":
            self._restart(n)
        self._es.reseed_rng(int(book.generator().integers(2**32)))
        half = n is None and self._epoch >= 0
        size = self._es.population_size if half else book.size(n, self._es.population_size)
        starts = book.take_starts(size // 2 if half else size)
        drawn = [self._es.ask() for _ in range(size - len(starts))]
        if n is not None:
            drawn = book.without_copies(drawn, self._to_cube, self._es.ask)
        points = [self._to_cube(sample) for sample in drawn]
        samples = [*(self._from_cube(start.genome) for start in starts), *drawn]
        self._starts_out += len(starts)
        self._asks[book.asked] = _Drawn(
            *(self._epoch, self._es.generation, self._mean, samples, size),
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
                for index in range(drawn.size):
                    self._take(drawn, drawn.told[index])

    def inject(self, start: Start) -> None:
        """Propose ``start`` at the next ask."""
        self._book.add_start(start)

    def snapshot(self) -> Snapshot:
        """Return the state as plain data and arrays."""
        return take_snapshot(self, STATE)

    def restore(self, snapshot: Snapshot) -> None:
        """Take the state of a snapshot."""
        # Cmaes's generator isn't stored, so another strategy lends its own; asks seed it anyway.
        self._es = self._strategy(self._x0, 4)
        put_back(self, snapshot)

    def _unscored(self) -> bool:
        """Say if there were starts and nothing has been scored yet."""
        return self._with_starts and self._best is None

    def _take(self, drawn: _Drawn, told: Told) -> None:
        """Keep a result for the next update, and update when there are enough."""
        if drawn.epoch < 0 or drawn.epoch != self._epoch:
            return
        update = INJECTED if told.index < drawn.n_starts else drawn.update
        self._ready.append(_Result(drawn.samples[told.index], told, update, drawn.mean))
        if len(self._ready) >= self._es.population_size:
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
        rows = [
            (result.sample, worst if utility is None else -utility)
            for result, utility in zip(results, utilities, strict=True)
        ]
        before = self._mean_now()
        numeric = len(before) > 0
        late = [index for index, result in enumerate(results) if result.update != es.generation]
        if late and numeric:
            then = np.mean([result.mean for result in results], axis=0)
            es._mean = es._mean + ANCHOR * (then - es._mean)
            for index in late:
                rows[index] = (_clipped(es, rows[index][0]), rows[index][1])
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # equal scores make cmaes take a median of nothing
            es.tell(rows)
        if numeric:
            self._hold_back(before, results)
            self._mean = self._mean_now()
        highest = max((r.told.standing or NOTHING for r in results), default=NOTHING)
        self._stalled = 0 if highest > self._highest else self._stalled + 1
        self._highest = max(self._highest, highest)

    def _hold_back(self, before: Array, results: Sequence[_Result]) -> None:
        """Take back the part of the mean's move that candidates made in which genes didn't count.

        Whole numbers are left alone: the margin has just put their means where it needs them.
        """
        active = self._book.space.active(np.array([result.told.genome for result in results]))
        share = active[:, self._floats].mean(axis=0)
        n = len(self._floats)
        self._es._mean[:n] = before[:n] + share * (self._es._mean[:n] - before[:n])

    def _population(self, n: int | None) -> int:
        """Return a generation's size: as given, or by the genes and the candidates out."""
        if self._given_population:
            return self._given_population
        usual = 4 + math.floor(3 * math.log(self._book.space.n_dims))
        out = 0 if n is None else self._book.n_waiting + n
        return max(usual, math.ceil(out / SLOTS_A_SAMPLE))

    def _patience(self) -> int:
        """Return after how many updates without anything better a restart is due."""
        population: int = self._es.population_size
        return 10 + math.ceil(30 * self._book.space.n_dims / population)

    def _begin(self, n: int | None) -> None:
        """Start the first strategy that learns: at the best start, or where genes' priors say."""
        found = self._best if self._with_starts else None
        self._epoch = 0
        self._es = self._strategy(
            self._x0 if found is None else found[1], self._population(n), known=found is not None
        )
        self._mean = self._mean_now()

    def _restart(self, n: int | None) -> None:
        """Begin anew at a random mean with a larger population, choices as at first."""
        rng = np.random.default_rng((self._book.seed, self._book.asked, 2))
        self._n_restarts += 1
        self._epoch += 1
        self._ready = []
        self._stalled, self._highest = 0, NOTHING
        mean = rng.random(len(self._cells))
        mean[self._choices] = self._x0[self._choices]
        self._es = self._strategy(mean, self._population(n) * 2**self._n_restarts)
        self._mean = self._mean_now()

    def _mean_now(self) -> Array:
        """Return the numbers' mean in cmaes's own coordinates; empty if all genes are choices."""
        mean: Array = getattr(self._es, "_mean", np.empty(0)).copy()
        return mean

    def _strategy(self, centre: Array, population: int, *, known: bool = False) -> Any:
        """Return cmaes's strategy around ``centre``, shape ``(d,)``, in the cube.

        Args:
            centre: First mean; the place of each choice.
            population: Candidates per generation.
            known: ``centre`` is a known-good genome, whose choices are mostly kept.
        """
        from cmaes import CatCMAwM

        cells, integers = self._cells, self._integers
        width = np.concatenate([np.ones(len(self._floats)), cells[integers]])
        inside = np.clip(centre, 1e-3, 1 - 1e-3)
        mean = np.concatenate([inside[self._floats], inside[integers] * cells[integers] - 0.5])
        probabilities = np.zeros((len(self._choices), max(cells[self._choices], default=0)))
        for row, index in enumerate(self._choices):
            gene = self._book.space.genes[index]
            probabilities[row, : cells[index]] = _first_chances(gene, centre[index], known=known)
        with_numbers = len(mean) > 0
        return CatCMAwM(
            x_space=[[0.0, 1.0]] * len(self._floats) if len(self._floats) else None,
            z_space=[list(range(cells[i])) for i in integers] if len(integers) else None,
            c_space=list(cells[self._choices]) if len(self._choices) else None,
            population_size=population,
            mean=mean if with_numbers else None,
            sigma=self._sigma if with_numbers else None,
            cov=np.diag(width**2) if with_numbers else None,
            cat_param=probabilities if len(self._choices) else None,
            seed=0,
        )

    def _to_cube(self, sample: Any) -> Array:
        point = np.empty(len(self._cells))
        if len(self._floats):
            point[self._floats] = sample.x
        if len(self._integers):
            point[self._integers] = (sample.z + 0.5) / self._cells[self._integers]
        if len(self._choices):
            point[self._choices] = (sample.c.argmax(axis=1) + 0.5) / self._cells[self._choices]
        return point

    def _from_cube(self, genome: Array) -> Any:
        """Return the sample that stands for ``genome``."""
        from cmaes import CatCMAwM

        cells = self._cells
        choices = np.zeros((len(self._choices), max(cells[self._choices], default=0)), dtype=bool)
        places = (genome[self._choices] * cells[self._choices]).astype(int)
        choices[np.arange(len(places)), np.minimum(places, cells[self._choices] - 1)] = True
        numbers = genome[self._floats]
        whole = np.floor(genome[self._integers] * cells[self._integers])
        raw = np.concatenate([numbers, whole])
        return CatCMAwM.Solution(
            numbers if len(numbers) else None,
            whole if len(whole) else None,
            choices if len(places) else None,
            raw if len(raw) else None,
        )


def _first_chances(gene: Gene, place: float, *, known: bool) -> Array:
    """Return the first probabilities of a choice's values, shape ``(n_values,)``.

    Args:
        gene: The choice.
        place: Where its mean starts; the value's own place if ``known``.
        known: The value at ``place`` is part of a known-good genome.
    """
    n = gene.n_values
    if known:
        chances = np.full(n, (1 - KEEP) / (n - 1))
        chances[min(int(place * n), n - 1)] = KEEP
        return chances
    if gene.prior is None:
        return np.full(n, 1 / n)
    edges = (np.arange(1, n) / n - place) / (PRIOR_SIGMA * math.sqrt(2))
    below = np.array([0.0, *(0.5 * (1 + math.erf(edge)) for edge in edges), 1.0])
    return np.diff(below)


def _clipped(es: Any, sample: Any) -> Any:
    """Return ``sample`` with its step from the mean cut to the length that a sample may have.

    Source: Hansen 2011, arXiv:1110.4181.
    """
    axes, lengths = es._eigen_decomposition()
    step = sample._v_raw - es._mean
    length = float(np.linalg.norm(axes.T @ (step / (es._A * es._sigma)) / lengths))
    d = len(step)
    longest = math.sqrt(d) + 2 * d / (d + 2)
    return replace(sample, _v_raw=es._mean + step * min(1.0, longest / max(length, 1e-300)))
