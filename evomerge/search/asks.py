"""Bookkeeping that every searcher needs: ids, starts, what waits for a result, random states."""

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import SearchError
from evomerge.recipes.crossing import Crossable
from evomerge.recipes.space import SearchSpace
from evomerge.search.protocol import Evaluation, Proposal, Start

TRIES = 8
"""Draws after which a copy of an earlier proposal is proposed again."""

T = TypeVar("T")


@dataclass(frozen=True)
class Told:
    """A result that has come back.

    Args:
        ask: Number of the ask that proposed it.
        index: Its place there.
        genome: Encoding, shape ``(d,)``.
        values: Utilities, larger is better; None for a failure or a value that isn't finite.
        violation: By how much it misses the run's constraints; 0: it keeps them.
    """

    ask: int
    index: int
    genome: NDArray[np.float64]
    values: tuple[float, ...] | None
    violation: float = 0.0

    @property
    def standing(self) -> tuple[float, float] | None:
        """What a searcher of one objective compares results by, larger is better; None: failed."""
        return None if self.values is None else (-self.violation, self.values[0])


class AskBook:
    """Numbers the asks of one searcher and matches results to them.

    Args:
        name: Searcher's name, the origin of its own proposals.
        space: What is searched.
        seed: Equal seeds and equal tells give equal proposals.
        starts: Genomes that come before the searcher's own proposals.
    """

    def __init__(
        self, name: str, space: SearchSpace, *, seed: int, starts: Sequence[Start]
    ) -> None:
        self.name = name
        self.space = space
        self.seed = seed
        self.asked = 0
        self._starts = list(starts)
        self._waiting: dict[str, tuple[int, int, NDArray[np.float64]]] = {}
        # Where a gene that always counts is continuous, copies don't happen by chance; paths, whose
        # moves touch one thing at a time, are copied in any case.
        cells = all(gene.is_cells for gene in space.genes if gene.active_if is None)
        self._repeats = cells or not space.is_cube
        self._seen: set[int] = set()

    @property
    def n_starts(self) -> int:
        """Number of starts that have not been proposed yet."""
        return len(self._starts)

    @property
    def n_waiting(self) -> int:
        """Number of proposals that wait for a result."""
        return len(self._waiting)

    def add_start(self, start: Start) -> None:
        """Take another start, which comes after those that are left."""
        self._starts.append(start)

    def generator(self) -> np.random.Generator:
        """Return a new generator for the ask that is being answered."""
        return np.random.default_rng((self.seed, self.asked))

    def size(self, n: int | None, default: int) -> int:
        """Return how many proposals to make; the first generation has room for all starts."""
        if n is None:
            return max(default, len(self._starts))
        if n < 1:
            raise SearchError(f"asked for {n} proposals; expected at least 1.")
        return n

    def take_starts(self, n: int) -> list[Start]:
        """Return up to ``n`` of the starts that are left, and forget them."""
        taken, self._starts = self._starts[:n], self._starts[n:]
        return taken

    def without_copies(
        self,
        drawn: Sequence[T],
        place: Callable[[T], NDArray[np.float64]],
        draw: Callable[[], T],
    ) -> list[T]:
        """Draw again what would be a copy of an earlier proposal, or of one among ``drawn``.

        Only spaces of paths, or of whole numbers, steps and choices, are looked at; after ``TRIES``
        draws a copy is kept, since the space may hold nothing else.

        Args:
            drawn: What the searcher has drawn.
            place: Gives its point of the cube, shape ``(d,)``, not snapped.
            draw: Draws another.
        """
        if not self._repeats:
            return list(drawn)
        found: list[T] = []
        taken: set[int] = set()
        for item in drawn:
            mark = self._mark(self.space.snap(place(item)))
            for _ in range(TRIES):
                if mark not in self._seen and mark not in taken:
                    break
                item = draw()
                mark = self._mark(self.space.snap(place(item)))
            taken.add(mark)
            found.append(item)
        return found

    def is_copy(
        self, genome: NDArray[np.float64], others: Sequence[NDArray[np.float64]] = ()
    ) -> bool:
        """Say if the snapped ``genome`` was proposed before, or is what one of ``others`` snaps to.

        False in continuous spaces, where copies don't happen by chance.
        """
        if not self._repeats:
            return False
        mark = self._mark(genome)
        return mark in self._seen or any(mark == self._mark(self.space.snap(x)) for x in others)

    def propose(
        self,
        points: Sequence[NDArray[np.float64]] | NDArray[np.float64],
        *,
        starts: Sequence[Start] = (),
        parents: Sequence[tuple[str, ...]] | None = None,
    ) -> list[Proposal]:
        """Return proposals for ``starts``, then for ``points``, shape ``(p, d)``, all snapped.

        This closes the ask: the next one has the next number.
        """
        rows = [np.asarray(start.genome, dtype=np.float64) for start in starts]
        rows += [np.asarray(point, dtype=np.float64) for point in points]
        if not rows:
            return []
        if self.space.is_cube:
            genomes = list(self.space.snap(np.array(rows)))
        else:  # lengths may differ
            genomes = [self.space.snap(row) for row in rows]
        origins = [start.origin for start in starts]
        origins += [self.name] * (len(rows) - len(starts))
        lineage = [()] * len(starts) + list(parents or [()] * (len(rows) - len(starts)))
        proposals = [
            Proposal(f"{self.asked}-{index}", genome, origin, parents_)
            for index, (genome, origin, parents_) in enumerate(
                zip(genomes, origins, lineage, strict=True)
            )
        ]
        for index, proposal in enumerate(proposals):
            self._waiting[proposal.id] = (self.asked, index, proposal.genome)
            if self._repeats:
                self._seen.add(self._mark(proposal.genome))
        self.asked += 1
        return proposals

    def take(self, evaluations: Iterable[Evaluation]) -> list[Told]:
        """Return what came back and strike it off; nothing is struck off if an id is wrong.

        Raises:
            SearchError: An id that isn't waiting for a result, or twice the same.
        """
        evaluations = list(evaluations)
        seen: set[str] = set()
        for evaluation in evaluations:
            known = evaluation.candidate_id
            if known not in self._waiting or known in seen:
                raise SearchError(
                    f"candidate {known!r} is not waiting for a result. "
                    "Tell each candidate once, to the searcher that asked for it."
                )
            seen.add(known)
        told = []
        for evaluation in evaluations:
            ask, index, genome = self._waiting.pop(evaluation.candidate_id)
            values = evaluation.values
            if values is not None and not all(map(math.isfinite, values)):
                values = None
            told.append(Told(ask, index, genome, values, evaluation.violation))
        return told

    @staticmethod
    def _mark(genome: NDArray[np.float64]) -> int:
        return int.from_bytes(blake2b(genome.tobytes(), digest_size=8).digest(), "little")


def ranked(results: Sequence[Told]) -> list[float | None]:
    """Return one number a result for a searcher that learns from one: larger is better.

    Results that keep the constraints have their first utility. The others come below all of these,
    in the order of their violations (Deb et al. 2002), so that the numbers mean something within
    ``results`` only. None for a failure that misses no constraint.

    Args:
        results: What is ranked together.
    """
    kept = [told.values[0] for told in results if told.values and not told.violation]
    lowest = min(kept, default=0.0)
    unit = (max(kept, default=0.0) - lowest) or max(abs(lowest), 1.0)
    return [
        lowest - unit * (1 + told.violation)
        if told.violation
        else told.values[0]
        if told.values
        else None
        for told in results
    ]


@contextmanager
def seeded_globals(*seed: int) -> Iterator[None]:
    """Seed the global generators of ``random`` and numpy, and give them back as they were."""
    before, before_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  saved as it is
    words = np.random.SeedSequence(seed).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(words)  # noqa: NPY002  libraries draw from the global state
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(before_numpy)  # noqa: NPY002  given back as it was


def need_cube(name: str, space: SearchSpace) -> None:
    """Refuse a space of paths, or of models that are crossed.

    Args:
        name: The searcher that needs the unit cube.
        space: What is to be searched.

    Raises:
        SearchError: Genomes of ``space`` are no points of a cube.
    """
    if isinstance(space, Crossable):
        raise SearchError(
            f"{name} searches numbers and choices, but this run searches {space.summary}. Use the "
            "searcher m2n2, map_elites or random."
        )
    if not space.is_cube:
        raise SearchError(
            f"{name} searches numbers and choices, but this run searches paths (dataflow.space: "
            "path). Use the searcher path_evolution or random, or the dataflow space sakana or "
            "blocks."
        )


def prior_means(space: SearchSpace) -> NDArray[np.float64]:
    """Return where a numeric searcher's mean starts, shape ``(d,)``: priors, else the middle."""
    return np.array([0.5 if gene.prior is None else gene.prior for gene in space.genes])


def one_objective(name: str, n_objectives: int) -> None:
    """Refuse several objectives.

    Raises:
        SearchError: More than one.
    """
    if n_objectives != 1:
        raise SearchError(
            f"{name} optimises one objective, but {n_objectives} are declared. Make one number of "
            "them (search.scalarise: {kind: chebyshev}), or use a searcher of several, such as "
            "nsga2."
        )
