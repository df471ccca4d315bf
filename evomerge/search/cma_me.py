"""The CMA-ME and CMA-MAE searchers: normal distributions that adapt to fill an archive."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from evomerge.recipes.declarations import Parameter
from evomerge.recipes.space import SearchSpace
from evomerge.search.asks import AskBook, Told, need_cube, one_objective, prior_means
from evomerge.search.grid_archive import Axis, need_axes
from evomerge.search.protocol import Evaluation, Proposal, Start, placed, searcher
from evomerge.search.pyribs import load_pyribs
from evomerge.search.snapshots import Snapshot, put_back, take_snapshot

SEPARABLE_ABOVE = 100
"""Genes above which covariances stay diagonal."""
STATE = ("_archive", "_batches", "_book", "_emitters", "_floor", "_told")

Array = NDArray[np.float64]
Place = tuple[int, int]
"""Number of an ask, and the place there."""

PARAMETERS = (
    Parameter(
        "population", "int", "Candidates per emitter; 4 + 3 ln d if absent.", default=None, low=2
    ),
    Parameter(
        "emitters", "int", "Distributions that adapt beside each other.", default=2, low=1, high=100
    ),
    Parameter(
        "sigma", "float", "First step; the genome is 1 wide.", default=0.2, low=1e-3, high=0.5
    ),
)


@dataclass
class _Batch:
    """What one emitter has drawn at once, and what became of it.

    Args:
        emitter: Its number.
        points: Shape ``(b, d)``, clipped to the cube.
        places: Where each was proposed, as far as they are.
        results: Place → result and measures.
    """

    emitter: int
    points: Array
    places: list[Place]
    results: dict[Place, tuple[Told, tuple[float, ...] | None]]


class _EmitterSearcher:
    """What CMA-ME and CMA-MAE share: an archive and emitters of pyribs."""

    needs_measures = True
    name: ClassVar[str]
    ranker: ClassVar[str]
    selection_rule: ClassVar[str]
    restart_rule: ClassVar[str]

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        n_objectives: int = 1,
        starts: Sequence[Start] = (),
        measures: Sequence[Axis] = (),
        population: int | None = None,
        emitters: int = 2,
        sigma: float = 0.2,
        learning_rate: float = 1.0,
        threshold_min: float = -math.inf,
    ) -> None:
        one_objective(self.name, n_objectives)
        need_cube(self.name, space)
        need_axes(self.name, measures)
        self._ribs = load_pyribs()
        self._book = AskBook(self.name, space, seed=seed, starts=starts)
        self._centres = [prior_means(space)]
        self._centres += [np.asarray(start.genome, dtype=np.float64) for start in starts]
        self._size = population or 4 + int(3 * math.log(space.n_dims))
        self._n_emitters = emitters
        self._sigma = sigma
        self._low = [axis.low for axis in measures]
        self._archive = self._ribs.archives.GridArchive(
            solution_dim=space.n_dims,
            dims=[axis.bins for axis in measures],
            ranges=[(axis.low, axis.high) for axis in measures],
            learning_rate=learning_rate,
            threshold_min=threshold_min,
        )
        self._emitters = [self._emitter(number) for number in range(emitters)]
        self._batches: list[_Batch] = []
        self._told: list[tuple[Told, tuple[float, ...] | None]] = []
        self._floor: float | None = None

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return ``n`` proposals: starts that are left, then what the emitters draw."""
        self._settle()
        book = self._book
        size = self._size * self._n_emitters
        size = size + book.n_starts * (book.asked == 0) if n is None else book.size(n, size)
        starts = book.take_starts(size)
        points: list[Array] = []
        for place in range(len(starts), size):
            batch = self._open_batch()
            points.append(batch.points[len(batch.places)])
            batch.places.append((book.asked, place))
        return book.propose(points, starts=starts)

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Take evaluations in any order; they are learnt from at a later ask.

        Raises:
            SearchError: A result without measures.
        """
        evaluations = list(evaluations)
        for item, told in zip(evaluations, self._book.take(evaluations), strict=True):
            measures = None if told.values is None else placed(item, self.name)
            self._told.append((told, measures))

    def inject(self, start: Start) -> None:
        """Propose ``start`` at the next ask; it joins the archive, where emitters restart."""
        self._book.add_start(start)

    def snapshot(self) -> Snapshot:
        """Return the state as plain data and arrays."""
        return take_snapshot(self, STATE)

    def restore(self, snapshot: Snapshot) -> None:
        """Take the state of a snapshot."""
        plain: Any = snapshot.plain
        while len(self._emitters) < len(plain["_emitters"]["list"]):
            self._emitters.append(self._emitter(len(self._emitters)))
        put_back(self, snapshot)

    def _emitter(self, number: int) -> Any:
        """Return a new emitter; the first at the prior, others at starts or anywhere."""
        space = self._book.space
        if number < len(self._centres):
            centre = self._centres[number]
        else:
            centre = np.random.default_rng((self._book.seed, number)).random(space.n_dims)
        return self._ribs.emitters.EvolutionStrategyEmitter(
            self._archive,
            x0=centre,
            sigma0=self._sigma,
            ranker=self.ranker,
            es="sep_cma_es" if space.n_dims > SEPARABLE_ABOVE else "cma_es",
            selection_rule=self.selection_rule,
            restart_rule=self.restart_rule,
            # No bounds: pyribs would draw again until all is inside, which near a corner of many
            # dimensions never ends. Points are clipped instead.
            batch_size=self._size,
            seed=0,
        )

    def _open_batch(self) -> _Batch:
        """Return the batch that the next proposal is from; an idle emitter draws a new one."""
        for batch in self._batches:
            if len(batch.places) < self._size:
                return batch
        busy = {batch.emitter for batch in self._batches}
        number = next(k for k in range(len(self._emitters) + 1) if k not in busy)
        if number == len(self._emitters):
            self._emitters.append(self._emitter(number))
        emitter = self._emitters[number]
        # pyribs has one generator for all asks; here each (seed, ask, emitter) has its own.
        emitter._opt._rng = np.random.default_rng((self._book.seed, self._book.asked, number))
        batch = _Batch(number, np.clip(emitter.ask(), 0.0, 1.0), [], {})
        self._batches.append(batch)
        return batch

    def _settle(self) -> None:
        """Let starts that are back into the archive, and emitters learn from whole batches."""
        told = sorted(self._told, key=lambda item: (item[0].ask, item[0].index))
        self._told = []
        if self._floor is None:
            self._floor = _floor([item.values[0] for item, _ in told if item.values is not None])
        of = {place: batch for batch in self._batches for place in batch.places}
        for result, measures in told:
            place = result.ask, result.index
            if place in of:
                of[place].results[place] = result, measures
            else:
                self._add(result, measures)
        for batch in [item for item in self._batches if len(item.results) == self._size]:
            self._batches.remove(batch)
            self._learn(batch)

    def _add(self, told: Told, measures: tuple[float, ...] | None) -> tuple[int, float] | None:
        """Offer a candidate to the archive; return its status and how much it betters."""
        if told.values is None or told.violation or measures is None or self._floor is None:
            return None
        added = self._archive.add_single(told.genome, told.values[0] - self._floor, measures)
        return int(added["status"]), float(added["value"])

    def _learn(self, batch: _Batch) -> None:
        """Let an emitter adapt to what became of its batch; what failed counts as worst."""
        results = [batch.results[place] for place in batch.places]
        added = [self._add(told, measures) for told, measures in results]
        if self._archive.empty:
            fresh = np.random.default_rng((self._book.seed, self._book.asked, batch.emitter, 1))
            self._emitters[batch.emitter]._opt.reset(fresh.random(self._book.space.n_dims))
            return
        worst = min((value for item in added if item for value in item[1:]), default=0.0)
        missed = [worst - 1.0 - told.violation for told, _ in results]
        value = [item[1] if item else low for item, low in zip(added, missed, strict=True)]
        # The archive draws where an emitter restarts.
        self._archive._rng = np.random.default_rng((self._book.seed, self._book.asked, 0, 2))
        self._emitters[batch.emitter].tell(
            batch.points,
            np.array(value),
            np.array(
                [m if item else self._low for item, (_, m) in zip(added, results, strict=True)]
            ),
            {
                "status": np.array([item[0] if item else 0 for item in added], dtype=np.int32),
                "value": np.array(value),
            },
        )


def _floor(values: Sequence[float]) -> float | None:
    """Return a utility a little below the worst of the first results; None without any."""
    if not values:
        return None
    spread = max(values) - min(values)
    return min(values) - (0.01 * spread or 1.0)


@searcher("cma_me", parameters=PARAMETERS, paper="arXiv:1912.02400")
class CmaMeSearcher(_EmitterSearcher):
    """Adapt normal distributions to what is new in an archive of kinds (CMA-ME, by pyribs).

    Kinds are cells of search.measures. Each emitter draws ``population`` candidates from a normal
    distribution and learns from those that found a new cell, then from those that bettered one; it
    restarts at an elite when none did. The first emitter begins at the genes' priors, the others at
    starts. For numbers; choices and whole numbers are rounded, and freeze as steps get small.
    Points outside the cube are clipped. Failures and what misses constraints are the worst of their
    batch and never elites.

    Late results: an emitter learns from a whole batch at once, so a result waits until its batch is
    complete, while other emitters go on; where all wait, another one begins. In asynchronous runs
    take as many emitters as ``workers / population`` and one more. Complete batches are learnt from
    at the next ask, in the order in which they were drawn.

    Args:
        space: What is searched.
        seed: Equal seeds and equal tells give equal proposals.
        n_objectives: One.
        starts: Genomes of generation 0.
        measures: Axes of the archive.
        population: Candidates per emitter.
        emitters: Distributions that adapt beside each other.
        sigma: First step, in widths of the cube.

    Raises:
        SearchError: No measures, several objectives, or a space that is no cube.
        MissingExtraError: pyribs isn't installed.
    """

    name = "cma_me"
    ranker = "2imp"
    selection_rule = "filter"
    restart_rule = "no_improvement"


@searcher(
    "cma_mae",
    parameters=[
        *PARAMETERS,
        Parameter(
            "learning_rate",
            "float",
            "How fast a cell demands what its best had: 1: at once, 0: never.",
            default=0.01,
            low=0.0,
            high=1.0,
        ),
    ],
    paper="arXiv:2205.10752",
)
class CmaMaeSearcher(_EmitterSearcher):
    """Adapt normal distributions to what betters cells that grow demanding slowly (CMA-MAE).

    As ``cma_me`` but for what an emitter learns from: how much a candidate is above its cell's
    threshold, which begins a little below the worst of the first results and moves towards each
    that passes it by ``learning_rate``. So the search stays a while where it is good, instead of
    leaving for what is new: better models in fewer cells. An emitter restarts only when its
    distribution has collapsed. The best of each cell is what ``show RUN archive`` tells, also where
    a worse one has passed the threshold since.

    Late results: as with ``cma_me``.

    Args:
        space: What is searched.
        seed: Equal seeds and equal tells give equal proposals.
        n_objectives: One.
        starts: Genomes of generation 0.
        measures: Axes of the archive.
        population: Candidates per emitter.
        emitters: Distributions that adapt beside each other.
        sigma: First step, in widths of the cube.
        learning_rate: How fast a cell demands what its best had.

    Raises:
        SearchError: No measures, several objectives, or a space that is no cube.
        MissingExtraError: pyribs isn't installed.
    """

    name = "cma_mae"
    ranker = "imp"
    selection_rule = "mu"
    restart_rule = "basic"

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        n_objectives: int = 1,
        starts: Sequence[Start] = (),
        measures: Sequence[Axis] = (),
        population: int | None = None,
        emitters: int = 2,
        sigma: float = 0.2,
        learning_rate: float = 0.01,
    ) -> None:
        super().__init__(
            space,
            seed=seed,
            n_objectives=n_objectives,
            starts=starts,
            measures=measures,
            population=population,
            emitters=emitters,
            sigma=sigma,
            learning_rate=learning_rate,
            threshold_min=0.0,
        )
