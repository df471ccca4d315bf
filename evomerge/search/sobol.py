"""The Sobol searcher: a scrambled low-discrepancy sequence, more even than random."""

import warnings
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import SearchError
from evomerge.recipes.declarations import Parameter
from evomerge.recipes.space import SearchSpace
from evomerge.search.asks import AskBook, need_cube
from evomerge.search.protocol import Evaluation, Proposal, Start, searcher
from evomerge.search.snapshots import Snapshot, put_back, take_snapshot

MAX_DIMS = 21201
"""Dimensions for which scipy has direction numbers."""
STATE = ("_book", "_drawn")


@searcher(
    "sobol",
    parameters=[
        Parameter(
            "population",
            "int",
            "Candidates per generation; powers of 2 are most even.",
            default=16,
            low=1,
        )
    ],
    paper="doi:10.1016/0041-5553(67)90144-9",
    multi_objective=True,
)
class SobolSearcher:
    """Propose the points of one scrambled Sobol sequence, ask after ask.

    Late results: nothing depends on results, so their order doesn't matter. ``ask(n)`` steps over
    points that were proposed before, up to eight at a time, in spaces of whole numbers, steps and
    choices.

    Args:
        space: What is searched, at most 21201 genes.
        seed: Seed of the scrambling.
        n_objectives: Any number; results aren't used.
        starts: Genomes of generation 0.
        population: Candidates per generation.

    Raises:
        SearchError: Too many genes, or a space of paths.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        n_objectives: int = 1,
        starts: Sequence[Start] = (),
        population: int = 16,
    ) -> None:
        from scipy.stats import qmc

        need_cube("sobol", space)
        if space.n_dims > MAX_DIMS:
            raise SearchError(
                f"sobol takes at most {MAX_DIMS} genes, this space has {space.n_dims}. "
                "Use the searcher random, or a coarser granularity."
            )
        self._book = AskBook("sobol", space, seed=seed, starts=starts)
        self._population = population
        self._drawn = 0
        self._sequence = qmc.Sobol(space.n_dims, scramble=True, seed=np.random.default_rng(seed))

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return ``n`` proposals: starts that are left, then the next points of the sequence."""
        size = self._book.size(n, self._population)
        starts = self._book.take_starts(size)
        points = self._next(size - len(starts))
        if n is not None:
            rows = self._book.without_copies(list(points), np.asarray, lambda: self._next(1)[0])
            points = np.array(rows)
        return self._book.propose(points, starts=starts)

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Strike the results off; they change nothing."""
        self._book.take(evaluations)

    def inject(self, start: Start) -> None:
        """Propose ``start`` at the next ask."""
        self._book.add_start(start)

    def snapshot(self) -> Snapshot:
        """Return the state as plain data and arrays."""
        return take_snapshot(self, STATE)

    def restore(self, snapshot: Snapshot) -> None:
        """Take the state of a snapshot."""
        put_back(self, snapshot)
        self._sequence.reset()
        if self._drawn:
            self._sequence.fast_forward(self._drawn)

    def _next(self, n: int) -> NDArray[np.float64]:
        """Return the next ``n`` points of the sequence, shape ``(n, d)``."""
        if n == 0:
            return np.empty((0, self._book.space.n_dims))
        self._drawn += n
        with warnings.catch_warnings():
            # Scipy asks for powers of two; the sequence goes on at the next ask.
            warnings.simplefilter("ignore", UserWarning)
            points: NDArray[np.float64] = self._sequence.random(n)
        return points
