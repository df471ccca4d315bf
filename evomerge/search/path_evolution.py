"""The path_evolution searcher: steady-state evolution of paths, and of numbers beside them.

A model of the scores so far chooses among children, since a child costs next to nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evomerge.recipes.declarations import Parameter
from evomerge.recipes.space import SearchSpace
from evomerge.search.asks import TRIES, AskBook, Told, ranked
from evomerge.search.fronts import pareto_ranks
from evomerge.search.path_model import PathModel
from evomerge.search.path_moves import (
    Layout,
    change_scales,
    change_steps,
    cross_numbers,
    cross_paths,
    mutate_numbers,
)
from evomerge.search.protocol import Evaluation, Proposal, Start, searcher
from evomerge.search.snapshots import Snapshot, put_back, take_snapshot

NEAR = 1000
"""Numbers that agree to one part in so many of their range are near-copies."""
ENOUGH = 10
"""Scores from which on a model is asked."""
WINDOW = 256
"""Scores that the model learns from: half the best, half the latest."""
TOURNAMENT = 3
"""Members that a parent is the best of."""
STALLED = 40
"""Children with other steps, none better than all before, after which steps no longer pay."""
SCALES_EARLY, SCALES_LATE = 0.03, 0.5
"""Share of children with other scales: while changes of steps pay, and after."""
GENES = 0.4
"""Share of children with other numbers beside the path."""
STATE = ("_book", "_known", "_members", "_born", "_near", "_other_steps", "_since_better")

Array = NDArray[np.float64]
Kind = Literal["steps", "scales", "genes"]


@dataclass(frozen=True)
class _Member:
    """A candidate that may become a parent; ``born`` counts results, ``steps`` marks its steps."""

    told: Told
    born: int
    steps: int

    @property
    def id(self) -> str:
        """The candidate's id."""
        return f"{self.told.ask}-{self.told.index}"


@dataclass(frozen=True)
class _Models:
    """Judge children by steps alone, and by all that they are."""

    steps: PathModel
    all: PathModel


@dataclass(frozen=True)
class _Child:
    """A genome, the ids of its parents, and what was changed."""

    genome: Array
    parents: tuple[str, ...]
    kind: Kind


@searcher(
    "path_evolution",
    parameters=[
        Parameter("population", "int", "Candidates that may become parents.", default=8, low=4),
        Parameter(
            "crossover", "float", "Share of children of two parents.", default=0.2, low=0, high=1
        ),
        Parameter(
            "draws",
            "int",
            "Children drawn for each that is proposed, the one that a model finds best; 1: no "
            "model.",
            default=24,
            low=1,
        ),
    ],
    multi_objective=True,
)
class PathEvolutionSearcher:
    """Evolve paths by moves and crossover, and the numbers beside them by normal steps.

    The best ``population`` candidates so far may become parents, the best of three at a time; with
    one objective no two of them have the same steps. The first candidates after the starts are
    random, or changed starts, as often the one as the other.

    A child differs in its steps, its scales, or the numbers beside its path. Moves of steps:
    insert, delete, replace, move, repeat or exchange some, take them from another source or a
    neighbouring layer; such a child has steps that were never proposed. Scales begin at 1 and are
    left alone while changes of steps pay: a wrong order with fitted scales would be hard to leave.
    When 40 children with other steps weren't better than all before, every other child gets other
    scales, until steps pay again. In a space without paths only numbers move.

    Of ``draws`` children the one is proposed that a Gaussian process on the scores so far holds
    most promise for, as in Bayesian optimisation: a score costs far more than a child. That needs a
    space of paths and a single objective. Children with other steps are judged by their steps, each
    path by its best score with any scales.
    With several objectives, fronts come first and crowded regions of a front last (NSGA-II).

    Failures are forgotten; what misses constraints comes after all that keeps them. A child that
    agrees with an earlier proposal in its steps, and in its numbers to a thousandth, is made again,
    up to eight times, and then random.

    Late results: a result joins the others when it comes; nothing waits for a generation. ``ask()``
    gives ``population`` candidates, ``ask(n)`` as many as asked for.

    Args:
        space: What is searched.
        seed: Equal seeds and equal tells give equal proposals.
        n_objectives: Number ``k`` of objectives.
        starts: Genomes of generation 0.
        population: Candidates that may become parents.
        crossover: Share of children of two parents.
        draws: Children drawn for each that is proposed.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        n_objectives: int = 1,
        starts: Sequence[Start] = (),
        population: int = 8,
        crossover: float = 0.2,
        draws: int = 24,
    ) -> None:
        self._book = AskBook("path_evolution", space, seed=seed, starts=starts)
        self._layout = Layout(space)
        self._population = population
        self._crossover = crossover
        self._modelled = self._layout.paths is not None and n_objectives == 1
        self._draws = draws if self._modelled else 1
        self._beginnings = [np.asarray(start.genome, dtype=np.float64) for start in starts]
        self._members: list[_Member] = []
        self._known: list[_Member] = []
        self._born = 0
        self._near: set[int] = set()
        self._other_steps: set[str] = set()
        self._since_better = 0

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return ``n`` proposals: starts that are left, then children of the best so far."""
        size = self._book.size(n, self._population)
        starts = self._book.take_starts(size)
        for start in starts:
            self._near.update(*self._marks(np.asarray(start.genome)[None]))
        rng = self._book.generator()
        models = self._models()
        children = [self._best_child(models, rng) for _ in range(size - len(starts))]
        proposals = self._book.propose(
            np.array([child.genome for child in children]),
            starts=starts,
            parents=[child.parents for child in children],
        )
        for proposal, child in zip(proposals[len(starts) :], children, strict=True):
            if child.kind == "steps":
                self._other_steps.add(proposal.id)
        return proposals

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Take evaluations in any order; each joins those that may become parents."""
        for told in self._book.take(evaluations):
            member = _Member(told, self._born, self._marks(told.genome[None])[0][1])
            if member.id in self._other_steps:
                self._other_steps.remove(member.id)
                self._since_better = 0 if self._is_better(told) else self._since_better + 1
            if told.values is None:
                continue
            self._born += 1
            self._members = self._kept([*self._members, member])
            if self._draws > 1:
                self._known.append(member)
        if len(self._known) > WINDOW:
            older, latest = self._known[: -WINDOW // 2], self._known[-WINDOW // 2 :]
            self._known = _ranked(older)[: WINDOW // 2] + latest

    def inject(self, start: Start) -> None:
        """Propose ``start`` at the next ask."""
        self._book.add_start(start)

    def snapshot(self) -> Snapshot:
        """Return the state as plain data and arrays."""
        return take_snapshot(self, STATE)

    def restore(self, snapshot: Snapshot) -> None:
        """Take the state of a snapshot."""
        put_back(self, snapshot)

    def _is_better(self, told: Told) -> bool:
        """Say if a result is the best, or belongs to the front, of all so far; none at first."""
        if told.values is None:
            return False
        for member in self._members:
            other = member.told
            if other.violation != told.violation:
                if other.violation < told.violation:
                    return False
            elif all(x <= y for x, y in zip(told.values, other.values or (), strict=True)):
                return False
        return True

    def _kept(self, members: Sequence[_Member]) -> list[_Member]:
        """Return those of ``members`` that may become parents, best first."""
        found = _ranked(members)
        if self._modelled:
            best: dict[int, _Member] = {}
            for member in found:
                best.setdefault(member.steps, member)
            found = list(best.values())
        return found[: self._population]

    def _models(self) -> _Models | None:
        """Return models of the scores so far, once there are enough."""
        if len(self._known) < ENOUGH:
            return None
        layout = self._layout
        genomes = np.array([member.told.genome for member in self._known])
        scores = np.array(ranked([member.told for member in self._known]), dtype=np.float64)
        every = PathModel(layout, genomes, scores)
        assert layout.paths is not None
        if layout.paths.scale is None:
            return _Models(every, every)
        best: dict[int, int] = {}
        for index in np.argsort(scores, kind="stable"):
            best[self._known[index].steps] = int(index)
        paths = sorted(best.values())
        return _Models(PathModel(layout, genomes[paths], scores[paths], scales=False), every)

    def _kind(self, rng: np.random.Generator) -> Kind:
        """Return what a child is to differ in."""
        paths = self._layout.paths
        if paths is None or (self._layout.n_genes and rng.random() < GENES):
            return "genes"
        if paths.scale is None:
            return "steps"
        late = self._since_better >= STALLED
        return "scales" if rng.random() < (SCALES_LATE if late else SCALES_EARLY) else "steps"

    def _best_child(self, models: _Models | None, rng: np.random.Generator) -> _Child:
        """Return the most promising of some children that are near no earlier proposal."""
        kind = self._kind(rng)
        n_draws = 1 if models is None else self._draws
        for _ in range(TRIES):
            # A model would let one path alone be fitted for ever; so fit a path at a time.
            fitted = self._parent(rng) if kind != "steps" and models else None
            drawn = [self._draw(kind, fitted, rng) for _ in range(n_draws)]
            genomes = self._book.space.snap(np.array([genome for genome, _ in drawn]))
            marks = self._marks(genomes)
            which = 1 if kind == "steps" else 0
            new = [i for i, mark in enumerate(marks) if mark[which] not in self._near]
            if not new:
                continue
            best = new[0]
            if models is not None and len(new) > 1:
                model = models.steps if kind == "steps" else models.all
                best = new[int(model.promise(genomes[new]).argmax())]
            self._near.update(marks[best])
            return _Child(genomes[best], drawn[best][1], kind)
        genome = self._book.space.snap(self._layout.random(rng))
        self._near.update(*self._marks(genome[None]))
        return _Child(genome, (), kind)

    def _draw(
        self, kind: Kind, one: _Member | None, rng: np.random.Generator
    ) -> tuple[Array, tuple[str, ...]]:
        """Return a child of ``one``, or of one or two members; at first changed starts too."""
        if rng.random() * self._population > len(self._members):
            if not self._beginnings or rng.random() < 0.5:
                return self._layout.random(rng), ()
            beginning = self._beginnings[int(rng.integers(len(self._beginnings)))]
            return self._changed(beginning, kind, rng), ()
        one = one or self._parent(rng)
        if kind == "scales" or rng.random() >= self._crossover:
            return self._changed(one.told.genome, kind, rng), (one.id,)
        two = self._parent(rng)
        numbers, path = self._layout.split(one.told.genome)
        more, other = self._layout.split(two.told.genome)
        child = self._layout.join(
            cross_numbers(numbers, more, rng),
            cross_paths(path, other, rng) if kind == "steps" else path,
        )
        if rng.random() < 0.5:
            child = self._changed(child, kind, rng)
        return child, (one.id, two.id)

    def _changed(self, genome: Array, kind: Kind, rng: np.random.Generator) -> Array:
        """Return a genome after a few moves of one kind."""
        numbers, path = self._layout.split(genome)
        if kind == "genes":
            mutate_numbers(self._book.space, numbers, rng)
        else:
            (change_steps if kind == "steps" else change_scales)(self._layout, path, rng)
        return self._layout.join(numbers, path)

    def _parent(self, rng: np.random.Generator) -> _Member:
        """Return the best of a few members drawn at random."""
        drawn: list[int] = rng.integers(len(self._members), size=TOURNAMENT).tolist()
        return self._members[min(drawn)]

    def _marks(self, genomes: Array) -> list[tuple[int, int]]:
        """Return marks that near-copies of each row share, and rows of the same steps."""
        rounded = np.rint(genomes * NEAR).astype(np.int64)
        first = self._layout.n_genes
        most = 0 if self._layout.paths is None else self._layout.paths.max_steps
        return [(_mark(row), _mark(row[first : first + most])) for row in rounded]


def _mark(row: NDArray[np.int64]) -> int:
    """Return a number that equal rows share."""
    return int.from_bytes(blake2b(row.tobytes(), digest_size=8).digest(), "little")


def _ranked(members: Sequence[_Member]) -> list[_Member]:
    """Return members, best first: by front, then the lonely ones, then the younger ones."""
    values = np.array([member.told.values for member in members])
    fronts = pareto_ranks(values, np.array([member.told.violation for member in members]))
    crowding = np.zeros(len(members))
    if values.shape[1] > 1:
        for front in np.unique(fronts):
            where = np.flatnonzero(fronts == front)
            crowding[where] = _crowding(values[where])
    born = np.array([member.born for member in members])
    return [members[i] for i in np.lexsort((-born, -crowding, fronts))]


def _crowding(values: Array) -> Array:
    """Return how far each row's neighbours in a front are apart, summed over objectives.

    Source: Deb et al. 2002, doi:10.1109/4235.996017.
    """
    total = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        width = max(float(np.ptp(column)), 1e-300)
        total[order[[0, -1]]] = np.inf
        total[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / width
    return total
