"""The MO-CMA-ES searcher: each member of a population adapts a normal distribution of its own.

Igel, Hansen and Roth 2007 (doi:10.1162/evco.2007.15.1.1). Parents are drawn from the front (Igel,
Suttorp and Hansen 2007, doi:10.1007/978-3-540-70928-2_16), and a child is a success if it is
selected (Voß, Hansen and Igel 2010, doi:10.1145/1830483.1830573).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evomerge.recipes.declarations import Parameter
from evomerge.recipes.space import SearchSpace
from evomerge.search.asks import AskBook, Told, need_cube
from evomerge.search.fronts import least_contributor, pareto_ranks
from evomerge.search.protocol import Evaluation, Proposal, Start, searcher
from evomerge.search.snapshots import Snapshot, put_back, take_snapshot

SEPARABLE_ABOVE = 100
"""Genes above which covariances stay diagonal: there is one a member."""
COARSE = 100
"""Values up to which a gene on cells is also moved by whole cells; more are as continuous."""
SUCCESS = 1 / 5.5
"""Share of successful children that leaves a step size as it is."""
STALLED = 0.44
"""Success rate above which the evolution path rests: steps are too small to tell a direction."""
SMALLEST, LARGEST = 1e-5, 0.5
"""Step sizes stay between these; the cube is 1 wide."""
STATE = ("_book", "_children", "_members", "_told")

Array = NDArray[np.float64]


@dataclass
class _Member:
    """A point with the distribution that its children are drawn from.

    ``cov`` has shape ``(d, d)``, or ``(d,)`` where only the diagonal is kept; ``success`` is the
    smoothed success rate; ``step`` is the way from the parent, in units of the parent's ``sigma``.
    """

    name: str
    x: Array
    sigma: float
    cov: Array
    path: Array
    success: float
    step: Array
    parent: str = ""
    values: tuple[float, ...] = ()
    violation: float = 0.0


@searcher(
    "mo_cma_es",
    parameters=[
        Parameter(
            "population", "int", "Members, and candidates per generation.", default=12, low=2
        ),
        Parameter(
            "sigma", "float", "First step; the genome is 1 wide.", default=0.1, low=1e-3, high=0.5
        ),
    ],
    paper="doi:10.1162/evco.2007.15.1.1",
    multi_objective=True,
)
class MoCmaEsSearcher:
    """Let each member of a front adapt steps of its own (MO-CMA-ES): numbers, a few objectives.

    Of members and children those of the first fronts stay, and of the last front that fits those
    that add most hypervolume. What misses constraints comes after all that keeps them. Whole
    numbers and choices are moved by cells now and then too. Failures are never members; they count
    as children that weren't selected.

    Late results: all that came back since the last ask are selected from together, whichever asks
    they are from. A child brings its parent's distribution of the time when it was drawn, and tells
    its parent of its success if that is still a member.

    Args:
        space: What is searched.
        seed: Equal seeds and equal tells give equal proposals.
        n_objectives: Number ``k`` of objectives.
        starts: Genomes of generation 0; without any it is drawn uniformly.
        population: Members, and candidates per generation.
        sigma: First step, in widths of the cube.

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
        population: int = 12,
        sigma: float = 0.1,
    ) -> None:
        need_cube("mo_cma_es", space)
        self._book = AskBook("mo_cma_es", space, seed=seed, starts=starts)
        self._centres = [np.asarray(start.genome, dtype=np.float64) for start in starts]
        self._population = population
        self._sigma = sigma
        self._cells = np.array([gene.n_values for gene in space.genes])
        self._choices = np.array([gene.kind == "categorical" for gene in space.genes])
        self._members: list[_Member] = []
        self._children: dict[str, _Member] = {}
        self._told: list[Told] = []

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return ``n`` proposals: starts that are left, then children of the front."""
        self._select()
        book = self._book
        size = book.size(n, self._population)
        starts = book.take_starts(size)
        rng = book.generator()
        parents = self._parents(size - len(starts), rng)
        born = [self._child(parent, rng) for parent in parents]
        if n is not None:
            born = book.without_copies(
                born,
                lambda child: child.x,
                lambda: self._child(self._parents(1, rng)[0], rng),
            )
        first = [self._newcomer(np.asarray(start.genome, dtype=np.float64)) for start in starts]
        proposals = book.propose(
            np.array([child.x for child in born]),
            starts=starts,
            parents=[(child.parent,) if child.parent else () for child in born],
        )
        for proposal, child in zip(proposals, [*first, *born], strict=True):
            self._children[proposal.id] = replace(child, name=proposal.id)
        return proposals

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Take evaluations in any order; they are selected from at the next ask."""
        self._told += self._book.take(evaluations)

    def inject(self, start: Start) -> None:
        """Propose ``start`` at the next ask."""
        self._book.add_start(start)

    def snapshot(self) -> Snapshot:
        """Return the state as plain data and arrays."""
        return take_snapshot(self, STATE)

    def restore(self, snapshot: Snapshot) -> None:
        """Take the state of a snapshot."""
        put_back(self, snapshot)

    def _parents(self, count: int, rng: np.random.Generator) -> list[_Member | None]:
        """Return whose children are drawn: members of the front; None for points without parents.

        Such points come until there are as many members as there may be.
        """
        n_members = len(self._members)
        ranks = self._ranks()
        front = [member for member, rank in zip(self._members, ranks, strict=True) if rank == 0]
        chosen: list[_Member | None] = []
        for _ in range(count):
            alone = not front or rng.random() * self._population >= n_members
            chosen.append(None if alone else front[int(rng.integers(len(front)))])
        return chosen

    def _child(self, parent: _Member | None, rng: np.random.Generator) -> _Member:
        """Return a child, clipped to the cube; without a parent a point near a start, or any."""
        d = self._book.space.n_dims
        if parent is None:
            if not self._centres:
                return self._newcomer(rng.random(d))
            centre = self._centres[int(rng.integers(len(self._centres)))]
            return self._newcomer(np.clip(centre + self._sigma * rng.standard_normal(d), 0, 1))
        z = rng.standard_normal(d)
        way = np.sqrt(parent.cov) * z if parent.cov.ndim == 1 else _root(parent.cov) @ z
        x = self._moved(np.clip(parent.x + parent.sigma * way, 0.0, 1.0), rng)
        step = (x - parent.x) / parent.sigma
        return replace(parent, x=x, step=step, parent=parent.name, values=())

    def _moved(self, x: Array, rng: np.random.Generator) -> Array:
        """Move genes on cells by whole cells now and then, so that small steps freeze none."""
        coarse = np.flatnonzero((self._cells > 1) & (self._cells <= COARSE))
        for gene in coarse[rng.random(len(coarse)) < 1 / len(x)]:
            cells = int(self._cells[gene])
            if self._choices[gene]:
                x[gene] = (rng.integers(cells) + 0.5) / cells
            else:
                x[gene] = np.clip(x[gene] + rng.choice([-1, 1]) / cells, 0.0, 1.0)
        return x

    def _newcomer(self, x: Array) -> _Member:
        d = len(x)
        cov = np.ones(d) if d > SEPARABLE_ABOVE else np.eye(d)
        return _Member("", x, self._sigma, cov, np.zeros(d), SUCCESS, np.zeros(d))

    def _select(self) -> None:
        """Let what has come back since the last ask compete with the members."""
        if not self._told:
            return
        told = sorted(self._told, key=lambda item: (item.ask, item.index))
        self._told = []
        born = []
        for item in told:
            child = self._children.pop(f"{item.ask}-{item.index}")
            known = item.values is not None
            born.append(replace(child, values=item.values or (), violation=item.violation))
            if not known:
                self._report(child.parent, selected=False)
        born = [child for child in born if child.values]
        self._members = self._best([*self._members, *born])
        stayed = {member.name for member in self._members}
        for child in born:
            if child.parent:
                self._report(child.parent, selected=child.name in stayed)
            if child.parent and child.name in stayed:
                _adapt(child)

    def _report(self, name: str, *, selected: bool) -> None:
        """Tell a parent, if it is still a member, whether its child was selected."""
        for member in self._members:
            if member.name == name:
                _resize(member, selected=selected)

    def _best(self, pool: list[_Member]) -> list[_Member]:
        """Return the members of the next generation, in order of age."""
        kept = list(range(len(pool)))
        ranks = self._ranks(pool)
        while len(kept) > self._population:
            last = [i for i in kept if ranks[i] == max(ranks[j] for j in kept)]
            over = len(kept) - self._population
            if len(last) <= over:
                kept = [i for i in kept if i not in last]
                continue
            kept.remove(last[least_contributor([pool[i].values for i in last])])
        return [pool[i] for i in kept]

    def _ranks(self, pool: Sequence[_Member] | None = None) -> NDArray[np.intp]:
        members = self._members if pool is None else pool
        if not members:
            return np.zeros(0, dtype=np.intp)
        return pareto_ranks([m.values for m in members], [m.violation for m in members])


def _resize(member: _Member, *, selected: bool) -> None:
    """Take a success or failure into account; the step size follows the smoothed rate."""
    rate = SUCCESS / (2 + SUCCESS)
    member.success = (1 - rate) * member.success + rate * selected
    damping = 1 + len(member.x) / 2
    change = (member.success - SUCCESS) / ((1 - SUCCESS) * damping)
    member.sigma = min(max(member.sigma * math.exp(change), SMALLEST), LARGEST)


def _adapt(child: _Member) -> None:
    """Let a selected child learn from the step that made it."""
    d = len(child.x)
    fading, learning = 2 / (d + 2), 2 / (d * d + 6)
    if child.cov.ndim == 1:
        learning *= (d + 2) / 3  # a diagonal has fewer numbers to be learnt (Ros and Hansen 2008)
    child.path = (1 - fading) * child.path
    kept = 1 - learning
    if child.success < STALLED:
        child.path += math.sqrt(fading * (2 - fading)) * child.step
    else:
        kept += learning * fading * (2 - fading)
    square = child.path**2 if child.cov.ndim == 1 else np.outer(child.path, child.path)
    child.cov = kept * child.cov + learning * square
    _resize(child, selected=True)


def _root(cov: Array) -> Array:
    """Return a matrix whose product with its transpose is ``cov``, shape ``(d, d)``."""
    try:
        return np.asarray(np.linalg.cholesky(cov))
    except np.linalg.LinAlgError:  # rounding has made an eigenvalue negative
        values, vectors = np.linalg.eigh(cov)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 1e-20)))
