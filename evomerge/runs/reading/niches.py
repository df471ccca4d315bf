"""The archive of an m2n2 search as its ledger tells it: who lives on what, who left for whom."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Text, cast, select

from evomerge.errors import LedgerError
from evomerge.runs.ledger import tables
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import RunRow
from evomerge.runs.objectives import Objectives
from evomerge.runs.reading.example_scores import Array, ExampleScores
from evomerge.runs.reading.moments import MOMENTS, evenly
from evomerge.search.niches import coverage, fitness, leaver, sole_wins, wins

SEARCHER = "m2n2"
MOST_PAIRS = 200
"""Pairs of parents that are told of."""
_AT_ONCE = 200
"""Results whose scores are read together."""


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
class Pair:
    """Two candidates that had children.

    Args:
        first: The parent that was drawn for its fitness.
        second: The one that was drawn for what it adds to the first.
        children: Children with a result.
        living: Those of them that are in the archive.
    """

    first: str
    second: str
    children: int
    living: int


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
        pairs: Who had children with whom: the ``MOST_PAIRS`` with the most children.
    """

    parts: tuple[Part, ...]
    members: tuple[Inhabitant, ...]
    departures: tuple[Departure, ...]
    coverage: float
    course: tuple[Moment, ...] = ()
    pairs: tuple[Pair, ...] = ()


def read_niches(records: RunRecords, row: RunRow, objectives: Objectives) -> Niches:
    """Return the archive as it is after all results that the searcher was told of.

    Raises:
        LedgerError: The search keeps no such archive.
    """
    reader = NicheReader(records, row, objectives)
    reader.advance()
    return reader.niches()


class NicheReader:
    """Lets the results of a run join an archive once more, and goes on with those that are new.

    Args:
        records: The run's rows.
        row: The run.
        objectives: What it optimises.

    Raises:
        LedgerError: The search keeps no such archive.
    """

    def __init__(self, records: RunRecords, row: RunRow, objectives: Objectives) -> None:
        from evomerge.search.protocol import SEARCHERS

        search = row.config["search"]
        if search["searcher"] != SEARCHER or search.get("phases"):
            raise LedgerError(
                f"run {row.name!r} is a search by {search['searcher']}, which keeps no archive of "
                "niches or cells. Name a candidate, or 'best'; archives are kept by "
                f"{SEARCHER}, map_elites, cma_me, cma_mae and cycleqd."
            )
        options = SEARCHERS.get(SEARCHER).declaration.fill(search["options"])
        self._size, self._alpha = int(options["archive"]), float(options["alpha"])
        self._records = records
        self._examples = ExampleScores(records, objectives, row.tasks)
        self._members: list[str] = []
        self._scores: dict[str, list[Array]] = {}
        self._violations: dict[str, float] = {}
        self._joined: dict[str, int] = {}
        self._parents: dict[str, tuple[str, ...]] = {}
        self._beside: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        self._departures: list[Departure] = []
        self._pairs: Counter[tuple[str, ...]] = Counter()
        self._course: list[Moment] = []
        self._every = 1  # results between two moments
        self._results = self._decision = 0

    def advance(self) -> None:
        """Take in the results that the searcher was told of since the last time."""
        fresh = list(self._told())
        for start in range(0, len(fresh), _AT_ONCE):
            some = fresh[start : start + _AT_ONCE]
            sound = [name for name, values, *_ in some if _is_sound(values)]
            self._scores |= self._examples.read(sound)
            parents = self._examples.parents([name for name, *_ in some])
            self._pairs.update(found for found in parents.values() if len(found) > 1)
            self._parents |= {name: parents[name] for name in sound}
            for name, values, _, *violation in some:
                self._results += 1
                if _is_sound(values):
                    self._join(name, float(violation[0]) if violation else 0.0)
                self._note()
            self._forget()

    def niches(self) -> Niches:
        """Return the archive as it is now."""
        members = self._members
        course = evenly(self._course, MOMENTS)
        if not members:
            return Niches((), (), tuple(self._departures), 0.0, pairs=self._mated())
        if not course or course[-1].result != self._results:
            course = (*course[: MOMENTS - 1], self._moment())
        scores = self._matrix()
        fit = fitness(scores, alpha=self._alpha)
        won, alone = wins(scores), sole_wins(scores)
        self._compare([name for name in members if name not in self._beside])
        found = []
        for index in np.argsort(-fit, kind="stable"):
            name = members[index]
            gained, lost = self._beside[name]
            found.append(
                Inhabitant(
                    candidate=name,
                    parents=self._parents[name],
                    joined=self._joined[name],
                    mean=float(scores[index].mean()),
                    fitness=float(fit[index]),
                    wins=int(won[index].sum()),
                    alone=_numbers(alone[index]),
                    gained=gained,
                    lost=lost,
                )
            )
        return Niches(
            parts=self._layout(),
            members=tuple(found),
            departures=tuple(self._departures),
            coverage=coverage(scores),
            course=course,
            pairs=self._mated(),
        )

    def scores(self, names: Sequence[str]) -> Array:
        """Return the utilities of members, shape ``(len(names), n)``."""
        rows = [np.concatenate(self._scores[name]) for name in names]
        return np.stack(rows) if rows else np.zeros((0, 0))

    def _told(self) -> Iterator[Sequence[Any]]:
        """Yield the results of the decisions that are new."""
        c = tables.decision.c
        query = (
            select(c.sequence, cast(c.body, Text))
            .where(c.run_id == self._records.run_id, c.sequence > self._decision, c.kind == "tell")
            .order_by(c.sequence)
        )
        with self._records.ledger.read() as connection:
            rows = connection.execute(query).all()
        for sequence, text in rows:
            self._decision = sequence
            yield from json.loads(text)["results"]

    def _join(self, name: str, violation: float) -> None:
        """Let a candidate join, and the worst leave where there are too many."""
        self._joined[name], self._violations[name] = self._results, violation
        self._members.append(name)
        if len(self._members) <= self._size:
            return
        scores = self._matrix()
        missed = np.array([self._violations[other] for other in self._members])
        index = leaver(scores, missed, alpha=self._alpha)
        niche = _numbers(sole_wins(scores)[index])
        gone = self._members.pop(index)
        self._departures.append(Departure(gone, self._results, name, niche))

    def _note(self) -> None:
        """Remember how the archive is now, at some of the results."""
        if not self._members or self._results % self._every:
            return
        self._course.append(self._moment())
        if len(self._course) >= 4 * MOMENTS:
            self._every *= 2
            self._course = [item for item in self._course if item.result % self._every == 0]

    def _moment(self) -> Moment:
        scores = self._matrix()
        best = float(scores.mean(axis=1).max())
        return Moment(self._results, len(self._members), best, coverage(scores))

    def _forget(self) -> None:
        """Let go of what is known of candidates that have left."""
        living = set(self._members)
        for known in (self._scores, self._violations, self._joined, self._parents, self._beside):
            for name in [name for name in known if name not in living]:
                del known[name]

    def _compare(self, names: Sequence[str]) -> None:
        """Note on which examples members are better or worse than each of their parents."""
        missing = {parent for name in names for parent in self._parents[name]}
        read = self._examples.read(sorted(missing - self._scores.keys())) | self._scores
        for name in names:
            scored = [np.concatenate(read[parent]) for parent in self._parents[name]]
            parents = [scores for scores in scored if len(scores)]
            own = np.concatenate(self._scores[name])
            self._beside[name] = (
                _numbers(np.all([own > parent for parent in parents], axis=0)) if parents else (),
                _numbers(np.all([own < parent for parent in parents], axis=0)) if parents else (),
            )

    def _mated(self) -> tuple[Pair, ...]:
        living = Counter(self._parents[name] for name in self._members)
        return tuple(
            Pair(pair[0], pair[1], children, living[pair])
            for pair, children in self._pairs.most_common(MOST_PAIRS)
        )

    def _layout(self) -> tuple[Part, ...]:
        parts = []
        first = 0
        scores = self._scores[self._members[0]]
        for (task, metric), values in zip(self._examples.parts, scores, strict=True):
            parts.append(Part(task, metric, first, len(values)))
            first += len(values)
        return tuple(parts)

    def _matrix(self) -> Array:
        return self.scores(self._members)


def _is_sound(values: Sequence[float] | None) -> bool:
    return values is not None and bool(np.isfinite(values).all())


def _numbers(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(np.flatnonzero(mask).tolist())
