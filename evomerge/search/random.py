"""The random searcher: uniform proposals, the baseline that every other searcher should beat."""

from collections.abc import Iterable, Sequence

import numpy as np

from evomerge.recipes.crossing import Crossable
from evomerge.recipes.declarations import Parameter
from evomerge.recipes.space import SearchSpace
from evomerge.search.asks import AskBook
from evomerge.search.path_moves import Layout
from evomerge.search.protocol import Evaluation, Proposal, Start, searcher
from evomerge.search.snapshots import Snapshot, put_back, take_snapshot

STATE = ("_book",)


@searcher(
    "random",
    parameters=[Parameter("population", "int", "Candidates per generation.", default=16, low=1)],
    multi_objective=True,
)
class RandomSearcher:
    """Propose genomes uniformly: the baseline that every other searcher should beat.

    A path's length is drawn first, then each of its steps. Segments are cut once, with shares of
    all sources on both sides.

    Late results: nothing depends on results, so their order doesn't matter. ``ask(n)`` draws again,
    up to eight times, what was proposed before, in spaces of paths, or of whole numbers, steps and
    choices.

    Args:
        space: What is searched.
        seed: Equal seeds give equal proposals.
        n_objectives: Any number; results aren't used.
        starts: Genomes of generation 0.
        population: Candidates per generation.
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
        self._book = AskBook("random", space, seed=seed, starts=starts)
        self._draw = space.draw if isinstance(space, Crossable) else Layout(space).random
        self._population = population

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return ``n`` proposals: starts that are left, then random genomes."""
        size = self._book.size(n, self._population)
        starts = self._book.take_starts(size)
        rng = self._book.generator()
        points = [self._draw(rng) for _ in range(size - len(starts))]
        if n is not None:
            points = self._book.without_copies(points, np.asarray, lambda: self._draw(rng))
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
