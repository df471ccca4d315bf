"""The front of chosen objectives as a chart can draw it: thinned, beside a sample of the others."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.runs.objectives import Objectives
from evomerge.runs.reading.front import NONE, marks_of
from evomerge.search.fronts import non_dominated
from evomerge.service.reading.columns import DONE, STATES, Array, Columns, Indices

MOST_POINTS = 2_000
MOST_OTHERS = 5_000
EXACT_UP_TO = 3
"""Objectives up to which contributions to the hypervolume are exact."""
MOST_COMPARED = 8_000
"""Points of a front that are compared where they aren't."""
_MARGIN = 0.1  # of the front's range, below its worst: the ends of a front count too


class FrontOf:
    """The front of some objectives on one split, kept up result by result.

    As everywhere it is a front of proposals that keep the constraints, or of those that miss them
    least where none does. What is banned is never on it.

    Args:
        columns: The run's candidates.
        split: The split.
        chosen: Numbers of the objectives.
    """

    def __init__(self, columns: Columns, split: str, chosen: Sequence[int]) -> None:
        self._columns, self._split, self._chosen = columns, split, tuple(chosen)
        self._members: Indices = np.zeros(0, dtype=np.intp)
        self._seen = 0
        self._banned = columns.banned
        self._lock = threading.Lock()

    def members(self) -> Indices:
        """Return the rows on the front, best first by the first objective."""
        with self._lock:
            return self._members_now()

    def _members_now(self) -> Indices:
        columns = self._columns.splits[self._split]
        if self._banned != self._columns.banned:
            # Bans are rare, and may let back what was beaten: all meet once more.
            self._banned, self._seen = self._columns.banned, 0
            self._members = np.zeros(0, dtype=np.intp)
        scored = columns.scored()
        fresh = scored[self._seen :]
        self._seen = len(scored)
        fresh = fresh[np.array([self._columns.kinds[row] == "search" for row in fresh], dtype=bool)]
        fresh = fresh[self._columns.may(fresh)]
        if len(fresh):
            # What was beaten once stays beaten, so only the front so far meets the new ones.
            rows = np.concatenate([self._members, fresh])
            points = self._columns.utilities(self._split, rows, self._chosen)
            rows = rows[non_dominated(points, columns.violation[rows])]
            first = self._columns.utilities(self._split, rows, self._chosen)[:, 0]
            self._members = rows[np.argsort(-first, kind="stable")]
        return self._members


def thinned(points: Array, most: int = MOST_POINTS) -> Indices:
    """Return rows of a front that show its shape, ``most`` at the most, in the order of ``points``.

    Of up to three objectives those that contribute least to the hypervolume leave, a fifth at a
    time. With more, contributions take time exponential in their number; chosen is then again and
    again the point with the largest part of its hypervolume that no chosen point covers by itself,
    which is never less than its contribution.

    Args:
        points: Utilities of a front, shape ``(n, k)``, without NaN.
        most: How many, at least ``k``.
    """
    if len(points) <= most:
        return np.arange(len(points))
    scaled = _scaled(points)
    # Of equal points each contributes nothing, and all would leave.
    _, rows = np.unique(scaled, axis=0, return_index=True)
    if len(rows) <= most:
        return np.sort(rows)
    rows = np.sort(rows)
    if points.shape[1] <= EXACT_UP_TO:
        return rows[_largest(scaled[rows], most)]
    if len(rows) > MOST_COMPARED:
        ends = rows[scaled[rows].argmax(axis=0)]
        rows = np.union1d(sampled(rows, MOST_COMPARED), ends)
    return rows[_covering(scaled[rows], most)]


def _largest(scaled: Array, most: int) -> Indices:
    """Return the ends, and the rows whose contributions last longest."""
    import moocore

    kept = np.arange(len(scaled))
    ends = scaled.argmax(axis=0)
    lowest = np.full(scaled.shape[1], -_MARGIN)
    while len(kept) > most:
        parts = moocore.hv_contributions(scaled[kept], ref=lowest, maximise=True)
        parts[np.isin(kept, ends)] = np.inf
        leaving = max(1, min(len(kept) - most, len(kept) // 5))
        kept = np.delete(kept, np.argsort(parts, kind="stable")[:leaving])
    return kept


def _covering(scaled: Array, most: int) -> Indices:
    """Return rows chosen one by one, each the one that those before it cover least."""
    axes = (scaled + _MARGIN).T.copy()
    volume = axes.prod(axis=0)
    left = volume.copy()
    chosen: list[int] = []

    def choose(row: int) -> None:
        chosen.append(row)
        shared = np.minimum(axes[0], axes[0, row])
        for axis in axes[1:]:
            shared *= np.minimum(axis, axis[row])
        np.minimum(left, volume - shared, out=left)
        left[row] = -1.0

    for row in dict.fromkeys(int(axis.argmax()) for axis in axes):
        choose(row)
    while len(chosen) < most:
        choose(int(left.argmax()))
    return np.sort(np.array(chosen, dtype=np.intp))


def _scaled(points: Array) -> Array:
    """Return ``points`` with each objective from 0 to 1; infinite values become the ends."""
    finite = np.ma.masked_invalid(points)
    low, high = finite.min(axis=0).filled(0.0), finite.max(axis=0).filled(0.0)
    width = np.where(high > low, high - low, 1.0)
    scaled: Array = (np.clip(points, low, high) - low) / width
    return scaled


def sampled(rows: Indices, most: int = MOST_OTHERS) -> Indices:
    """Return at most ``most`` of ``rows``, always the same ones, in order.

    Each row has a number that looks random, and the smallest are taken: while a run grows, points
    come and go one by one instead of jumping about.
    """
    if len(rows) <= most:
        return np.sort(rows)
    lots = _lots(rows)
    return np.sort(rows[np.argpartition(lots, most)[:most]])


def _lots(rows: Indices) -> NDArray[np.uint64]:
    """Return the numbers of rows: the finaliser of splitmix64."""
    x = rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def front_picture(
    columns: Columns, front: FrontOf, split: str, chosen: Sequence[int], *, points: int, others: int
) -> dict[str, Any]:
    """Return the front and a sample of the other candidates as plain columns.

    Args:
        columns: The run's candidates.
        front: Their front.
        split: Its split.
        chosen: Numbers of its objectives.
        points: Most points of the front.
        others: Most others.
    """
    members = front.members()
    objectives = Objectives(tuple(columns.objectives.all[place] for place in chosen))
    utilities = columns.utilities(split, members, chosen)
    names = [columns.names[row] for row in members]
    found = dict(zip(names, map(tuple, utilities.tolist()), strict=True))
    sound = {name: values for name, values in found.items() if np.isfinite(values).all()}
    marks = {name: mine for name, mine in marks_of(objectives, sound, NONE).items() if mine}
    marked = [index for index, name in enumerate(names) if name in marks]
    kept = thinned(utilities, points)
    shown = members[np.union1d(kept, np.array(marked, dtype=np.intp))]
    others_drawn = _others(columns, split, members, chosen)
    rest = others_drawn[columns.may(others_drawn)]
    sample = sampled(rest, others)
    n = columns.n
    states = columns.splits[split].state[:n]
    return {
        "split": split,
        "objectives": _axes(objectives),
        "known": _axes(columns.objectives),
        "splits": [name for name, found in columns.splits.items() if found.n_scored],
        "counts": {
            **{word: int((states == number).sum()) for number, word in enumerate(STATES)},
            "front": len(members),
            "front_shown": len(shown),
            "others": len(rest),
            "others_shown": len(sample),
            "banned": len(others_drawn) - len(rest),
        },
        "front": _points(columns, split, shown, chosen, intervals=True),
        "others": _points(columns, split, sample, chosen, intervals=False),
        "landmarks": _points(columns, split, _landmarks(columns, split), chosen, intervals=True),
        "marks": marks,
    }


def _axes(objectives: Objectives) -> list[dict[str, str]]:
    return [{"name": item.name, "direction": item.direction} for item in objectives.all]


def _others(columns: Columns, split: str, members: Indices, chosen: Sequence[int]) -> Indices:
    """Return the scored rows that can be drawn and aren't on the front."""
    scored = columns.splits[split].scored()
    values = columns.splits[split].value[np.ix_(scored, np.array(chosen, dtype=np.intp))]
    drawn = scored[np.isfinite(values).all(axis=1)]
    mask = np.zeros(columns.n, dtype=bool)
    mask[drawn[drawn < len(mask)]] = True
    mask[members] = False
    return np.flatnonzero(mask)


def _landmarks(columns: Columns, split: str) -> Indices:
    """Return base, sources and the like, and what the search began with, as far as scored."""
    state = columns.splits[split].state
    n = len(state)
    rows = [row for row in list(columns.landmarks) if row < n]
    return np.array([row for row in rows if state[row] == DONE], dtype=np.intp)


def _points(
    columns: Columns, split: str, rows: Indices, chosen: Sequence[int], *, intervals: bool
) -> dict[str, Any]:
    """Return points as columns."""
    found = columns.splits[split]
    parts = ("value", "low", "high") if intervals else ("value",)
    return {
        "candidates": [columns.names[row] for row in rows],
        "origins": [columns.origins[row] for row in rows],
        "asks": [columns.ask[row] for row in rows],
        "feasible": (found.violation[rows] == 0).tolist(),
        **{
            part: {
                columns.objectives.all[place].name: getattr(found, part)[rows, place].tolist()
                for place in chosen
            }
            for part in parts
        },
    }
