"""The path_evolution searcher: steady-state evolution of paths, and of numbers beside them.

A model of the scores so far chooses among children, since a child costs next to nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from evomerge.recipes.declarations import Parameter
from evomerge.recipes.space import SearchSpace
from evomerge.search.asks import TRIES, AskBook
from evomerge.search.path_model import PathModel
from evomerge.search.path_moves import (
    Layout,
    cross_numbers,
    cross_paths,
    mutate_numbers,
    mutate_path,
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
STATE = ("_book", "_known", "_members", "_born", "_near")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Member:
    """A candidate that may become a parent."""

    id: str
    genome: Array
    values: tuple[float, ...]
    born: int


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
            default=12,
            low=1,
        ),
    ],
    multi_objective=True,
)
class PathEvolutionSearcher:
    """Evolve paths by moves and crossover, and the numbers beside them by normal steps.

    The best ``population`` candidates so far may become parents, the best of three at a time.
    Moves of a path: insert, delete, replace, move, repeat or exchange steps, take them from another
    source or a neighbouring layer, change scales. In a space without paths only numbers move. The
    first candidates after the starts are random, or changed starts, as often the one as the other.
    Of ``draws`` children the one is proposed that a Gaussian process on the scores so far holds
    most promise for, as in Bayesian optimisation: a score costs far more than a child. That needs a
    space of paths and a single objective.
    With several objectives, fronts come first and crowded regions of a front last (NSGA-II).

    Failures are forgotten. A child that agrees with an earlier proposal in its steps, and in its
    numbers to a thousandth, is made again, up to eight times, and then random.

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
        draws: int = 12,
    ) -> None:
        self._book = AskBook("path_evolution", space, seed=seed, starts=starts)
        self._layout = Layout(space)
        self._population = population
        self._crossover = crossover
        modelled = self._layout.paths is not None and n_objectives == 1
        self._draws = draws if modelled else 1
        self._beginnings = [np.asarray(start.genome, dtype=np.float64) for start in starts]
        self._members: list[_Member] = []
        self._known: list[_Member] = []
        self._born = 0
        self._near: set[int] = set()

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return ``n`` proposals: starts that are left, then children of the best so far."""
        size = self._book.size(n, self._population)
        starts = self._book.take_starts(size)
        self._near.update(_near(start.genome) for start in starts)
        rng = self._book.generator()
        model = self._model()
        children = [self._best_child(model, rng) for _ in range(size - len(starts))]
        points = np.array([genome for genome, _ in children])
        return self._book.propose(
            points, starts=starts, parents=[parents for _, parents in children]
        )

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Take evaluations in any order; each joins those that may become parents."""
        for told in self._book.take(evaluations):
            if told.values is None:
                continue
            name = f"{told.ask}-{told.index}"
            member = _Member(name, told.genome, told.values, self._born)
            self._born += 1
            self._members = _ranked([*self._members, member])[: self._population]
            if self._draws > 1:
                self._known.append(member)
        if len(self._known) > WINDOW:
            older, latest = self._known[: -WINDOW // 2], self._known[-WINDOW // 2 :]
            self._known = _ranked(older)[: WINDOW // 2] + latest

    def snapshot(self) -> Snapshot:
        """Return the state as plain data and arrays."""
        return take_snapshot(self, STATE)

    def restore(self, snapshot: Snapshot) -> None:
        """Take the state of a snapshot."""
        put_back(self, snapshot)

    def _model(self) -> PathModel | None:
        """Return a model of the scores so far, once there are enough."""
        if len(self._known) < ENOUGH:
            return None
        genomes = np.array([member.genome for member in self._known])
        return PathModel(self._layout, genomes, np.array([m.values[0] for m in self._known]))

    def _best_child(
        self, model: PathModel | None, rng: np.random.Generator
    ) -> tuple[Array, tuple[str, ...]]:
        """Return the most promising of some children, and its parents."""
        children = [self._child(rng) for _ in range(1 if model is None else self._draws)]
        best = 0
        if model is not None:
            best = int(model.promise(np.array([genome for genome, _ in children])).argmax())
        self._near.add(_near(children[best][0]))
        return children[best]

    def _child(self, rng: np.random.Generator) -> tuple[Array, tuple[str, ...]]:
        """Return a genome that is near no earlier proposal, if one is found, and its parents."""
        for _ in range(TRIES):
            genome, parents = self._draw(rng)
            if _near(genome) not in self._near:
                return genome, parents
        return self._book.space.snap(self._layout.random(rng)), ()

    def _draw(self, rng: np.random.Generator) -> tuple[Array, tuple[str, ...]]:
        """Return a child of one or two members; before there are enough, changed starts too."""
        if rng.random() * self._population > len(self._members):
            if not self._beginnings or rng.random() < 0.5:
                return self._book.space.snap(self._layout.random(rng)), ()
            beginning = self._beginnings[int(rng.integers(len(self._beginnings)))]
            return self._changed(beginning, rng), ()
        one = self._parent(rng)
        if rng.random() >= self._crossover:
            return self._changed(one.genome, rng), (one.id,)
        two = self._parent(rng)
        numbers, path = self._layout.split(one.genome)
        more, other = self._layout.split(two.genome)
        child = self._layout.join(
            cross_numbers(numbers, more, rng),
            cross_paths(path, other, rng) if len(path) else path,
        )
        if rng.random() < 0.5:
            child = self._changed(child, rng)
        return child, (one.id, two.id)

    def _changed(self, genome: Array, rng: np.random.Generator) -> Array:
        """Return a genome after moves of its path, its numbers, or both."""
        numbers, path = self._layout.split(genome)
        what = rng.random()
        if len(path) and (what < 0.75 or not len(numbers)):
            mutate_path(self._layout, path, rng)
        if len(numbers) and (what >= 0.5 or not len(path)):
            mutate_numbers(self._book.space, numbers, rng)
        return self._layout.join(numbers, path)

    def _parent(self, rng: np.random.Generator) -> _Member:
        """Return the best of a few members drawn at random."""
        drawn = rng.integers(len(self._members), size=TOURNAMENT)
        return self._members[int(drawn.min())]


def _near(genome: Array) -> int:
    """Return a mark that near-copies of ``genome`` share."""
    rounded = np.rint(genome * NEAR).astype(np.int64)
    return int.from_bytes(blake2b(rounded.tobytes(), digest_size=8).digest(), "little")


def _ranked(members: Sequence[_Member]) -> list[_Member]:
    """Return members, best first: by front, then the lonely ones, then the younger ones."""
    values = np.array([member.values for member in members])
    fronts = _fronts(values)
    crowding = np.zeros(len(members))
    if values.shape[1] > 1:
        for front in np.unique(fronts):
            where = np.flatnonzero(fronts == front)
            crowding[where] = _crowding(values[where])
    born = np.array([member.born for member in members])
    return [members[i] for i in np.lexsort((-born, -crowding, fronts))]


def _fronts(values: Array) -> NDArray[np.intp]:
    """Return the number of each row's front, shape ``(m,)``, for utilities ``(m, k)``."""
    if values.shape[1] == 1:
        _, fronts = np.unique(-values[:, 0], return_inverse=True)
        return fronts
    at_least = np.asarray((values[:, None] >= values[None]).all(axis=2))
    dominates = at_least & ~at_least.T
    fronts = np.full(len(values), -1)
    while fronts.min() < 0:
        left = np.flatnonzero(fronts < 0)
        beaten = dominates[np.ix_(left, left)].any(axis=0)
        fronts[left[np.logical_not(beaten)]] = fronts.max() + 1
    return fronts


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
