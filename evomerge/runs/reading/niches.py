"""The archive of an m2n2 search as its ledger tells it: who lives on what, who left for whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import LedgerError
from evomerge.evaluation.protocol import Metric
from evomerge.runs.driver.state import SEARCH
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import RunRow
from evomerge.runs.objectives import Objectives
from evomerge.search.niches import coverage, fitness, leaver, sole_wins, wins

Array = NDArray[np.float64]
SEARCHER = "m2n2"
MOMENTS = 200
"""Points of an archive's course."""


@dataclass(frozen=True)
class Part:
    """A run of the examples that models compete for.

    Args:
        task: The evaluator.
        metric: Its metric.
        first: Number of its first example among all.
        n: Its examples.
    """

    task: str
    metric: str
    first: int
    n: int


@dataclass(frozen=True)
class Inhabitant:
    """A model of the archive.

    Args:
        candidate: Its id.
        parents: Candidates that it was made from.
        joined: Number of the result with which it came, from 1.
        mean: Its mean utility over all examples.
        fitness: Its share of all examples, beside the present members only.
        wins: Examples on which nobody is better.
        alone: Numbers of the examples on which it alone is best.
        gained: Numbers of the examples on which it is better than each of its parents.
        lost: Numbers of those on which it is worse than each of them.
    """

    candidate: str
    parents: tuple[str, ...]
    joined: int
    mean: float
    fitness: float
    wins: int
    alone: tuple[int, ...]
    gained: tuple[int, ...]
    lost: tuple[int, ...]


@dataclass(frozen=True)
class Departure:
    """A model that left the archive.

    Args:
        candidate: Its id.
        result: Number of the result at which it left.
        newcomer: The candidate that had come; itself where it never stayed.
        niche: Numbers of the examples on which it alone had been best: what disappeared with it.
    """

    candidate: str
    result: int
    newcomer: str
    niche: tuple[int, ...]


@dataclass(frozen=True)
class Moment:
    """The archive after some result.

    Args:
        result: Number of that result, from 1.
        members: Models in the archive.
        best: Mean utility of the member whose mean is best.
        coverage: Mean over examples of the best member's utility.
    """

    result: int
    members: int
    best: float
    coverage: float


@dataclass(frozen=True)
class Niches:
    """An archive and how it came about.

    Args:
        parts: What the numbers of examples stand for.
        members: The present members, the fittest first.
        departures: Who left, in order.
        coverage: Mean over examples of the best member's utility.
        course: The archive at up to ``MOMENTS`` moments, evenly spread over all results; the last
            is the present.
    """

    parts: tuple[Part, ...]
    members: tuple[Inhabitant, ...]
    departures: tuple[Departure, ...]
    coverage: float
    course: tuple[Moment, ...] = ()


def read_niches(records: RunRecords, row: RunRow, objectives: Objectives) -> Niches:
    """Return the archive as it is after all results that the searcher was told of.

    Raises:
        LedgerError: The search keeps no such archive.
    """
    search = row.config["search"]
    if search["searcher"] != SEARCHER or search.get("phases"):
        raise LedgerError(
            f"run {row.name!r} is a search by {search['searcher']}, which keeps no archive of "
            f"niches or cells. Name a candidate, or 'best'; archives are kept by {SEARCHER}, "
            "map_elites, cma_me, cma_mae and cycleqd."
        )
    return _Reader(records, row, objectives).read()


class _Reader:
    """Lets the results of a run join an archive once more."""

    def __init__(self, records: RunRecords, row: RunRow, objectives: Objectives) -> None:
        from evomerge.search.protocol import SEARCHERS

        declaration = SEARCHERS.get(SEARCHER).declaration
        options = declaration.fill(row.config["search"]["options"])
        self._size, self._alpha = int(options["archive"]), float(options["alpha"])
        self._records = records
        self._parts = _metrics(objectives, row.tasks)
        self._parents = {item.candidate_id: item.parents for item in records.candidates()}
        self._scores: dict[str, Array] = {}
        self._violations: dict[str, float] = {}

    def read(self) -> Niches:
        members: list[str] = []
        joined: dict[str, int] = {}
        departures: list[Departure] = []
        course: list[Moment] = []
        results = [r for item in self._records.decisions("tell") for r in item.body["results"]]
        marks = {round(mark) for mark in np.linspace(0, len(results), MOMENTS + 1)}
        for number, (name, values, _, *violation) in enumerate(results, 1):
            if values is not None and np.isfinite(values).all():
                joined[name] = number
                self._violations[name] = float(violation[0]) if violation else 0.0
                members.append(name)
                if len(members) > self._size:
                    departures.append(self._departure(members, number))
            if number in marks and members:
                scores = self._matrix(members)
                best = float(scores.mean(axis=1).max())
                course.append(Moment(number, len(members), best, coverage(scores)))
        return self._niches(members, joined, departures, course)

    def _departure(self, members: list[str], number: int) -> Departure:
        """Let the worst of ``members`` leave after result ``number``, that of the last of them."""
        name = members[-1]
        scores = self._matrix(members)
        missed = np.array([self._violations[other] for other in members])
        index = leaver(scores, missed, alpha=self._alpha)
        niche = _numbers(sole_wins(scores)[index])
        return Departure(members.pop(index), number, name, niche)

    def _niches(
        self,
        members: Sequence[str],
        joined: Mapping[str, int],
        departures: Sequence[Departure],
        course: Sequence[Moment],
    ) -> Niches:
        if not members:
            return Niches((), (), tuple(departures), 0.0)
        scores = self._matrix(members)
        fit = fitness(scores, alpha=self._alpha)
        won, alone = wins(scores), sole_wins(scores)
        found = []
        for index in np.argsort(-fit, kind="stable"):
            name = members[index]
            gained, lost = self._against_parents(name)
            found.append(
                Inhabitant(
                    candidate=name,
                    parents=self._parents[name],
                    joined=joined[name],
                    mean=float(scores[index].mean()),
                    fitness=float(fit[index]),
                    wins=int(won[index].sum()),
                    alone=_numbers(alone[index]),
                    gained=gained,
                    lost=lost,
                )
            )
        return Niches(
            parts=self._layout(members[0]),
            members=tuple(found),
            departures=tuple(departures),
            coverage=coverage(scores),
            course=tuple(course),
        )

    def _against_parents(self, name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        scored = [self._of(parent) for parent in self._parents[name]]
        parents = [scores for scores in scored if len(scores)]
        if not parents:
            return (), ()
        own = self._of(name)
        return (
            _numbers(np.all([own > parent for parent in parents], axis=0)),
            _numbers(np.all([own < parent for parent in parents], axis=0)),
        )

    def _layout(self, name: str) -> tuple[Part, ...]:
        parts = []
        first = 0
        for (task, metric), _ in self._parts:
            n = len(self._records.scores(name, SEARCH, task, metric))
            parts.append(Part(task, metric, first, n))
            first += n
        return tuple(parts)

    def _matrix(self, members: Sequence[str]) -> Array:
        return np.stack([self._of(name) for name in members])

    def _of(self, name: str) -> Array:
        """Utilities of one candidate's examples, as the searcher was told them."""
        if name not in self._scores:
            found = []
            for (task, metric), (facts, turned) in self._parts:
                utilities = facts.utilities(self._records.scores(name, SEARCH, task, metric))
                assert utilities is not None
                found.append(1.0 - utilities if turned else utilities)
            self._scores[name] = np.clip(np.nan_to_num(np.concatenate(found)), 0.0, 1.0)
        return self._scores[name]


def _metrics(
    objectives: Objectives, tasks: Mapping[str, Any]
) -> list[tuple[tuple[str, str], tuple[Metric, bool]]]:
    """(task, metric) whose examples count, in order, and whether they are turned round."""
    found: dict[tuple[str, str], tuple[Metric, bool]] = {}
    for item in objectives.all:
        for task, name in () if item.is_of_recipe else item.parts:
            facts = next(Metric(**m) for m in tasks[task]["metrics"] if m["name"] == name)
            if facts.utilities(np.zeros((0, facts.width))) is not None:
                found[task, name] = facts, item.direction != facts.direction
    return list(found.items())


def _numbers(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(np.flatnonzero(mask).tolist())
