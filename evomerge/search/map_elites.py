"""The MAP-Elites searcher: the best model of each kind, each child of such elites."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.recipes.crossing import Crossable
from evomerge.recipes.declarations import Parameter
from evomerge.recipes.space import SearchSpace
from evomerge.search.asks import AskBook, one_objective
from evomerge.search.grid_archive import Axis, Elite, GridArchive, need_axes
from evomerge.search.protocol import Evaluation, Proposal, Start, placed, searcher
from evomerge.search.snapshots import Snapshot, put_back, take_snapshot
from evomerge.search.variation import Emitter, variation_of

STATE = ("_archive", "_book", "_drawn", "_told")

Array = NDArray[np.float64]


@searcher(
    "map_elites",
    parameters=[
        Parameter("population", "int", "Candidates per generation.", default=16, low=1),
        Parameter(
            "emitter",
            "str",
            "How numbers are varied: by normal steps, and along the line to another elite "
            "(iso_line), or by normal steps alone (gaussian).",
            default="iso_line",
            choices=("iso_line", "gaussian"),
        ),
        Parameter(
            "sigma",
            "float",
            "Step of a gene; the genome is 1 wide.",
            default=0.05,
            low=1e-4,
            high=0.5,
        ),
        Parameter(
            "line",
            "float",
            "(iso_line) step along the line to another elite, in units of its length.",
            default=0.2,
            low=0.0,
            high=2.0,
        ),
    ],
    paper="arXiv:1504.04909",
)
class MapElitesSearcher:
    """Keep the best model of each kind (MAP-Elites); kinds are cells of search.measures.

    The first ``population`` candidates are the starts and random ones, later ones children of
    elites. Numbers and choices: a normal step from one elite, and along the line to a second; genes
    with few values move by whole cells now and then. Models that are crossed (segments, networks
    from scratch): two elites drawn in proportion to quality are crossed; there the founders come
    first, and nothing is random while they are two. Paths: the moves of ``path_evolution``.

    A measure outside its range counts as in the first or last bin. Failures and what misses
    constraints never become elites.

    Late results: a result joins the archive at the next ask, whichever ask it is from; those that
    came since the last ask join in the order of asking, and of equal ones the older stays.

    Args:
        space: What is searched.
        seed: Equal seeds and equal tells give equal proposals.
        n_objectives: One.
        starts: Genomes of generation 0.
        measures: Axes of the archive.
        population: Candidates per generation.
        emitter: (numbers) ``iso_line`` or ``gaussian``.
        sigma: (numbers) step of a gene.
        line: (iso_line) step along the line to another elite.

    Raises:
        SearchError: No measures, or several objectives.
    """

    needs_measures = True

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        n_objectives: int = 1,
        starts: Sequence[Start] = (),
        measures: Sequence[Axis] = (),
        population: int = 16,
        emitter: Emitter = "iso_line",
        sigma: float = 0.05,
        line: float = 0.2,
    ) -> None:
        one_objective("map_elites", n_objectives)
        need_axes("map_elites", measures)
        founders = founding(space, starts)
        self._book = AskBook("map_elites", space, seed=seed, starts=[*founders, *starts])
        self._variation = variation_of(space, emitter=emitter, sigma=sigma, line=line)
        self._archive = GridArchive(measures)
        self._told: list[tuple[int, int, Elite]] = []
        self._population = population
        self._n_random = 0 if len(founders) > 1 else population
        self._drawn = 0

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return ``n`` proposals: starts that are left, random ones at first, then children."""
        self._settle()
        size = self._book.size(n, self._population)
        starts = self._book.take_starts(size)
        self._drawn += len(starts)
        rng = self._book.generator()
        elites = self._archive.elites

        def draw() -> tuple[Array, tuple[str, ...]]:
            if not elites or self._drawn < self._n_random:
                return self._variation.random(rng), ()
            return self._variation.child(elites, rng)

        born = []
        for _ in range(size - len(starts)):
            born.append(draw())
            self._drawn += 1
        born = self._book.without_copies(born, lambda item: item[0], draw)
        return self._book.propose(
            [genome for genome, _ in born], starts=starts, parents=[names for _, names in born]
        )

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Take evaluations in any order; they join the archive at the next ask.

        Raises:
            SearchError: A result without measures.
        """
        evaluations = list(evaluations)
        for item, told in zip(evaluations, self._book.take(evaluations), strict=True):
            if told.values is None or told.violation:
                continue
            measures = placed(item, "map_elites")
            if measures is not None:
                elite = Elite(item.candidate_id, told.genome, told.values[0], measures)
                self._told.append((told.ask, told.index, elite))

    def inject(self, start: Start) -> None:
        """Propose ``start`` at the next ask."""
        self._book.add_start(start)

    def living(self) -> list[str]:
        """Return the candidates of the archive, and those that wait to join it."""
        return [item.id for item in (*self._archive.elites, *(told[2] for told in self._told))]

    def snapshot(self) -> Snapshot:
        """Return the state as plain data and arrays."""
        return take_snapshot(self, STATE)

    def restore(self, snapshot: Snapshot) -> None:
        """Take the state of a snapshot."""
        put_back(self, snapshot)

    def _settle(self) -> None:
        """Let in what has come back since the last ask."""
        for _, _, elite in sorted(self._told, key=lambda item: item[:2]):
            self._archive.add(elite)
        self._told = []


def founding(space: SearchSpace, starts: Sequence[Start]) -> list[Start]:
    """Return what a search of models that are crossed begins with, but for what ``starts`` has."""
    if not isinstance(space, Crossable):
        return []
    return [
        Start(label, genome)
        for label, genome in space.founders()
        if not any(np.array_equal(genome, start.genome) for start in starts)
    ]
