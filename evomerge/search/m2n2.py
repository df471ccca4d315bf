"""The m2n2 searcher: crossovers with moving split points in a population kept diverse by niches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import SearchError
from evomerge.recipes.crossing import Crossable
from evomerge.recipes.declarations import Parameter
from evomerge.recipes.space import SearchSpace
from evomerge.search.asks import TRIES, AskBook
from evomerge.search.niches import attraction, fitness, leaver
from evomerge.search.protocol import Evaluation, Proposal, Start, searcher
from evomerge.search.snapshots import Snapshot, put_back, take_snapshot

STATE = ("_book", "_members", "_ids")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Member:
    """A model of the archive.

    Args:
        id: Its candidate.
        genome: Its encoding.
        scores: Utility of each example, shape ``(n,)``; 0 where it has none.
        violation: By how much it misses the run's constraints.
    """

    id: str
    genome: Array
    scores: Array
    violation: float


@searcher(
    "m2n2",
    parameters=[
        Parameter("archive", "int", "Models that are kept.", default=20, low=2),
        Parameter(
            "alpha",
            "float",
            "How much models that solve the same examples share them; 0: a plain genetic search.",
            default=1.0,
            low=0.0,
            high=10.0,
        ),
        Parameter(
            "attraction",
            "bool",
            "Draw the second parent by what it adds to the first, not by its fitness.",
            default=True,
        ),
        Parameter(
            "split_point",
            "bool",
            "Cut parents at a random place; otherwise one weight joins them everywhere.",
            default=True,
        ),
        Parameter("children", "int", "Candidates per generation.", default=1, low=1),
    ],
    paper="arXiv:2508.16204",
    multi_objective=True,
)
class M2N2Searcher:
    """Cross models at random split points, and let those survive that solve what others don't.

    Needs a space whose points can be crossed: segments of sources, or networks from scratch. It
    begins with the sources, or some random networks; they count as candidates.
    A child is the SLERP of two parents with a random weight w before a random flat index and 1 − w
    after it; one angle for the whole model, or for each chromosome, which then has a cut and a
    weight of its own. The first parent is drawn by fitness, where examples are shared by those
    that solve them, the second by how much it adds where the first is weak. The child joins the
    archive, fitness is computed again, and the worst leaves; of equal ones the older.

    With several objectives the examples of all of them count. A failed candidate never joins. One
    that misses constraints leaves before all that keep them, and is a parent only while fewer than
    two keep them. A child that equals an earlier proposal is drawn again, up to eight times. Until
    two models have scores, the founders are crossed with each other.

    Late results: a result joins the archive when it comes; nothing waits for a generation.
    ``ask()`` gives ``children`` candidates, ``ask(n)`` as many as asked for. With one source
    there is nothing to propose but that.

    Args:
        space: What is searched.
        seed: Equal seeds and equal tells give equal proposals.
        n_objectives: Any number; only examples are used.
        starts: Genomes of generation 0; founders that aren't among them come first.
        archive: Models that are kept.
        alpha: How much models that solve the same examples share them.
        attraction: Draw the second parent by what it adds to the first.
        split_point: Cut parents at a random place.
        children: Candidates per generation.

    Raises:
        SearchError: Points of the space can't be crossed.

    Source: Abrantes et al. 2025, arXiv:2508.16204. Without attraction the authors' code may draw
    one member twice, which makes a copy of it; here the second parent is always another.
    """

    needs_examples = True

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        n_objectives: int = 1,
        starts: Sequence[Start] = (),
        archive: int = 20,
        alpha: float = 1.0,
        attraction: bool = True,
        split_point: bool = True,
        children: int = 1,
    ) -> None:
        if not isinstance(space, Crossable):
            raise SearchError(
                "m2n2 crosses models, but this space is one of separate genes. Take the method "
                "segments with 'segments: search', or another searcher."
            )
        self._space = space
        founders = space.founders()
        given = [np.asarray(start.genome) for start in starts]
        added = [
            Start(label, genome)
            for label, genome in founders
            if not any(np.array_equal(genome, other) for other in given)
        ]
        self._founders = [genome for _, genome in founders]
        self._ids = [""] * len(founders)
        self._book = AskBook("m2n2", space, seed=seed, starts=[*added, *starts])
        self._archive = archive
        self._alpha = alpha
        self._attraction = attraction
        self._split_point = split_point
        self._children = children
        self._members: list[Member] = []

    @property
    def members(self) -> tuple[Member, ...]:
        """The archive, in the order of joining."""
        return tuple(self._members)

    def living(self) -> list[str]:
        """Return the ids of the archive's members."""
        return [member.id for member in self._members]

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return ``n`` proposals: starts that are left, then children of the archive."""
        size = self._book.size(n, self._children)
        starts = self._book.take_starts(size)
        for place, start in enumerate(starts):
            for index, founder in enumerate(self._founders):
                if np.array_equal(start.genome, founder):
                    self._ids[index] = f"{self._book.asked}-{place}"
        rng = self._book.generator()
        children: list[Array] = []
        parents: list[tuple[str, ...]] = []
        if len(self._founders) > 1:
            pool = self._pool()
            for _ in range(size - len(starts)):
                child, names = self._child(pool, children, rng)
                children.append(child)
                parents.append(names)
        return self._book.propose(children, starts=starts, parents=parents)

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Take evaluations in any order; each joins the archive, and the worst leaves.

        Raises:
            SearchError: A result without scores of examples.
        """
        evaluations = list(evaluations)
        for evaluation in evaluations:
            if evaluation.values is not None and evaluation.examples is None:
                raise SearchError(
                    f"the result of {evaluation.candidate_id!r} has no scores of examples, which "
                    "m2n2 lives by. Use evaluators that score example by example."
                )
        for evaluation, told in zip(evaluations, self._book.take(evaluations), strict=True):
            if told.values is None or evaluation.examples is None:
                continue
            scores = np.clip(np.nan_to_num(evaluation.examples, nan=0.0), 0.0, 1.0)
            name = evaluation.candidate_id
            self._members.append(Member(name, told.genome, scores, evaluation.violation))
            if len(self._members) > self._archive:
                violations = np.array([member.violation for member in self._members])
                del self._members[leaver(_scores(self._members), violations, alpha=self._alpha)]

    def inject(self, start: Start) -> None:
        """Propose ``start`` at the next ask."""
        self._book.add_start(start)

    def snapshot(self) -> Snapshot:
        """Return the state as plain data and arrays."""
        return take_snapshot(self, STATE)

    def restore(self, snapshot: Snapshot) -> None:
        """Take the state of a snapshot."""
        put_back(self, snapshot)

    def _pool(self) -> list[Member]:
        """The members that may become parents; before there are two, the founders."""
        feasible = [member for member in self._members if member.violation == 0]
        if len(feasible) > 1:
            return feasible
        if len(self._members) > 1:
            return self._members
        named = zip(self._ids, self._founders, strict=True)
        return [Member(name, genome, np.zeros(1), 0.0) for name, genome in named]

    def _child(
        self, pool: Sequence[Member], others: Sequence[Array], rng: np.random.Generator
    ) -> tuple[Array, tuple[str, ...]]:
        """Return a child that is no copy of an earlier proposal, if one is found."""
        scores = _scores(pool)
        fit = fitness(scores, alpha=self._alpha)
        one, two, child = self._draw(pool, scores, fit, rng)
        for _ in range(TRIES - 1):
            if not self._book.is_copy(child, others):
                break
            one, two, child = self._draw(pool, scores, fit, rng)
        return child, tuple(name for name in (pool[one].id, pool[two].id) if name)

    def _draw(
        self, pool: Sequence[Member], scores: Array, fit: Array, rng: np.random.Generator
    ) -> tuple[int, int, Array]:
        """Return two parents' places in the pool, and a child of theirs."""
        one = _drawn(fit, rng)
        beside = np.where(np.arange(len(fit)) == one, 0.0, fit)
        added = attraction(scores, one) if self._attraction else beside
        two = _drawn(added if added.any() else beside, rng, but=one)
        child = self._space.cross(pool[one].genome, pool[two].genome, rng, split=self._split_point)
        return one, two, child


def _scores(members: Sequence[Member]) -> Array:
    """The members' scores, shape ``(m, n)``."""
    return np.stack([member.scores for member in members])


def _drawn(worth: Array, rng: np.random.Generator, but: int | None = None) -> int:
    """Return an index drawn in proportion to ``worth``; all alike, but one, where it is all 0."""
    total = worth.sum()
    if total <= 0:
        worth = np.ones(len(worth))
        if but is not None:
            worth[but] = 0.0
        total = worth.sum()
    return int(rng.choice(len(worth), p=worth / total))
