"""The grid searcher: every combination of evenly spaced values, until there are none left."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.recipes.declarations import Parameter
from evomerge.recipes.genes import Gene
from evomerge.recipes.space import SearchSpace
from evomerge.search.asks import AskBook, need_cube
from evomerge.search.protocol import Evaluation, Proposal, Start, searcher
from evomerge.search.snapshots import Snapshot, put_back, take_snapshot

STATE = ("_book", "_next", "_done", "_seen")


@searcher(
    "grid",
    parameters=[
        Parameter(
            "points",
            "int",
            "Values a gene, ends included; all of a gene that has no more.",
            default=3,
            low=2,
        ),
        Parameter("population", "int", "Candidates per generation.", default=16, low=1),
    ],
    multi_objective=True,
)
class GridSearcher:
    """Propose all combinations of a few values a gene, the last gene changing first.

    Late results: nothing depends on results, so their order doesn't matter. ``ask(n)`` leaves out
    what a start stands for already, in spaces of whole numbers, steps and choices.

    Combinations that stand for one genome (through genes that don't count) come once. When all are
    proposed, ``ask`` returns an empty list.

    Args:
        space: What is searched.
        seed: Not used; the order is fixed.
        n_objectives: Any number; results aren't used.
        starts: Genomes of generation 0.
        points: Values a gene.
        population: Candidates per generation.

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
        points: int = 3,
        population: int = 16,
    ) -> None:
        need_cube("grid", space)
        self._book = AskBook("grid", space, seed=seed, starts=starts)
        self._population = population
        self._axes = [_axis(gene, points) for gene in space.genes]
        self._next = [0] * space.n_dims
        self._done = False
        self._seen: set[str] = set()

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return up to ``n`` proposals: starts that are left, then the next combinations."""
        size = self._book.size(n, self._population)
        starts = self._book.take_starts(size)
        points: list[NDArray[np.float64]] = []
        while len(points) < size - len(starts) and not self._done:
            point = self._book.space.snap(
                np.array([axis[i] for axis, i in zip(self._axes, self._next, strict=True)])
            )
            self._advance()
            if point.tobytes().hex() in self._seen or (n is not None and self._book.is_copy(point)):
                continue
            self._seen.add(point.tobytes().hex())
            points.append(point)
        return self._book.propose(np.array(points), starts=starts)

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

    def _advance(self) -> None:
        """Move to the next combination: count up, the last gene first."""
        for position in reversed(range(len(self._next))):
            self._next[position] += 1
            if self._next[position] < len(self._axes[position]):
                return
            self._next[position] = 0
        self._done = True


def _axis(gene: Gene, points: int) -> NDArray[np.float64]:
    """Return the places of a gene's values: all of few, else evenly spaced ones with both ends."""
    if gene.kind == "categorical" or 0 < gene.n_values <= points:
        return (np.arange(gene.n_values) + 0.5) / gene.n_values
    return np.unique(gene.places(gene.values(np.linspace(0.0, 1.0, points))))
