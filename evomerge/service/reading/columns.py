"""The candidates of one run as columns, so that any list or front of them is a few array steps.

Rows are only ever appended, and a row's numbers stand before its state says so. Readers therefore
need no lock: they take ``n`` first and look at that many rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.evaluation.intervals import Estimate
from evomerge.runs.driver.state import SEARCH, TEST, VALIDATION
from evomerge.runs.objectives import Objective, Objectives

SPLITS = (SEARCH, VALIDATION, TEST)
PENDING, DONE, FAILED = 0, 1, 2
STATES = ("pending", "done", "failed")
"""What became of a candidate on a split, by its number."""

_PLAIN = ("mean", "min", "max")

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
EstimateRows = list[Sequence[Any]]
"""Task, metric, value, low, high and n of each estimate of a candidate."""


class SplitColumns:
    """What became of the candidates on one split.

    Args:
        n_objectives: ``k``.

    Attributes:
        state: ``PENDING``, ``DONE`` or ``FAILED``, shape ``(capacity,)``.
        value, low, high: Objectives with 95 % intervals, raw, shape ``(capacity, k)``; NaN where
            there is none.
        examples: Examples that each rests on, shape ``(capacity, k)``.
        violation: By how much constraints are missed, 0 for not at all, shape ``(capacity,)``.
        finished_s: When it was settled, in seconds since 1970, shape ``(capacity,)``.
        n_scored: Rows that were scored.
        failures: Row → kind and message of its last failure, where it failed.
    """

    def __init__(self, n_objectives: int) -> None:
        self.state = np.zeros(0, dtype=np.int8)
        self.value = np.full((0, n_objectives), np.nan)
        self.low = np.full((0, n_objectives), np.nan)
        self.high = np.full((0, n_objectives), np.nan)
        self.examples = np.zeros((0, n_objectives), dtype=np.int64)
        self.violation = np.full(0, np.nan)
        self.finished_s = np.full(0, np.nan)
        self.n_scored = 0
        self._order: Indices = np.zeros(0, dtype=np.intp)
        self.failures: dict[int, tuple[str, str]] = {}

    def grow(self, n: int) -> None:
        """Have room for ``n`` rows."""
        self.value = grown(self.value, n, np.nan)
        self.low = grown(self.low, n, np.nan)
        self.high = grown(self.high, n, np.nan)
        self.examples = grown(self.examples, n, 0)
        self.violation = grown(self.violation, n, np.nan)
        self.finished_s = grown(self.finished_s, n, np.nan)
        self.state = grown(self.state, n, PENDING)

    def scored(self) -> Indices:
        """Return the rows that were scored, in that order."""
        return self._order[: self.n_scored]

    def succeed(self, rows: Sequence[int], finished_s: Sequence[float]) -> None:
        """Say that ``rows``, whose numbers are filled in, were scored."""
        for row in rows:
            self.failures.pop(row, None)
        self.finished_s[list(rows)] = finished_s
        self.state[list(rows)] = DONE
        n = self.n_scored + len(rows)
        self._order = grown(self._order, n, 0)
        self._order[self.n_scored : n] = rows
        self.n_scored = n

    def fail(self, row: int, kind: str, message: str, finished_s: float) -> None:
        """Say that ``row`` failed."""
        self.failures[row] = kind, message
        self.finished_s[row] = finished_s
        self.state[row] = FAILED

    def forgive(self, row: int) -> None:
        """Take a failure back: the candidate is tried again."""
        if self.state[row] == FAILED:
            self.state[row] = PENDING
            self.finished_s[row] = np.nan
            self.failures.pop(row, None)


class Columns:
    """The candidates of a run, one row each, in the order in which they were stored.

    Args:
        objectives: The run's.

    Attributes:
        names: Candidate ids.
        rows: Id → row.
        ask, place: Where it came from, −1 and a running number for a reference.
        kinds: ``search`` or ``reference``.
        origins, parents, recipes: As in the ledger.
        children: Id → rows that were made from it.
        landmarks: Rows of references and of what the search began with.
        attempts: Attempts on all splits, shape ``(capacity,)``.
        device_s: Device-seconds of all of them, shape ``(capacity,)``.
        splits: Split → what became of the candidates there.
        banned: Recipes that are never chosen, by hash.
    """

    def __init__(self, objectives: Objectives) -> None:
        self.objectives = objectives
        self.names: list[str] = []
        self.rows: dict[str, int] = {}
        self.ask: list[int] = []
        self.place: list[int] = []
        self.kinds: list[str] = []
        self.origins: list[str] = []
        self.parents: list[tuple[str, ...]] = []
        self.recipes: list[str] = []
        self.children: dict[str, list[int]] = {}
        self.landmarks: list[int] = []
        self.attempts = np.zeros(0, dtype=np.int64)
        self.device_s = np.zeros(0)
        self._places = _places_of(objectives)
        self.splits = {split: SplitColumns(len(objectives.all)) for split in SPLITS}
        self.banned: frozenset[str] = frozenset()

    @property
    def n(self) -> int:
        """Candidates so far."""
        return len(self.names)

    def add(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Append candidates: plain rows of the ledger, new ones only."""
        n = self.n + len(items)
        self.attempts = grown(self.attempts, n, 0)
        self.device_s = grown(self.device_s, n, 0.0)
        for columns in self.splits.values():
            columns.grow(n)
        for item in items:
            row, name = len(self.names), item["candidate_id"]
            self.ask.append(item["ask"])
            self.place.append(item["place"])
            self.kinds.append(item["kind"])
            self.origins.append(item["origin"])
            parents = tuple(item["parents"])
            self.parents.append(parents)
            self.recipes.append(item["recipe_hash"])
            for parent in parents:
                self.children.setdefault(parent, []).append(row)
            if item["kind"] == "reference" or item["origin"].startswith("warm:"):
                self.landmarks.append(row)
            self.rows[name] = row
            self.names.append(name)  # last: it is what n counts

    def ban(self, name: str, *, on: bool) -> None:
        """Say that the recipe of the candidate ``name`` is banned, or isn't any more."""
        recipe = {self.recipes[self.rows[name]]}
        self.banned = self.banned | recipe if on else self.banned - recipe

    def may(self, rows: Indices) -> NDArray[np.bool_]:
        """Say which of ``rows`` may be chosen: their recipes aren't banned."""
        banned = self.banned
        if not banned:
            return np.ones(len(rows), dtype=bool)
        return np.array([self.recipes[row] not in banned for row in rows], dtype=bool)

    def score(
        self, split: str, found: Mapping[int, EstimateRows], finished_s: Sequence[float]
    ) -> None:
        """Fill in the scores of rows.

        Args:
            split: The split.
            found: Row → estimates.
            finished_s: When, for each of them.
        """
        columns = self.splits[split]
        rows = list(found)
        if self._places is None:
            numbers = self._combined(columns, found)
        else:
            numbers = [
                (row, place, value, low, high, n)
                for row, estimates in found.items()
                for task, metric, value, low, high, n in estimates
                for place in self._places.get((task, metric), ())
            ]
            columns.violation[rows] = 0.0
        if numbers:
            at, places, values, lows, highs, examples = zip(*numbers, strict=True)
            columns.value[at, places], columns.low[at, places] = values, lows
            columns.high[at, places], columns.examples[at, places] = highs, examples
        columns.succeed(rows, finished_s)

    def _combined(
        self, columns: SplitColumns, found: Mapping[int, EstimateRows]
    ) -> list[tuple[int, int, float, float, float, int]]:
        """Return the numbers of objectives that are made of several, and note violations."""
        numbers = []
        for row, given in found.items():
            estimates = {(item[0], item[1]): Estimate(*item[2:]) for item in given}
            columns.violation[row] = self.objectives.violation(estimates)
            for place, item in enumerate(self.objectives.all):
                e = item.estimate(estimates)
                numbers.append((row, place, e.value, e.low, e.high, e.n))
        return numbers

    def utilities(self, split: str, rows: Indices, chosen: Sequence[int]) -> Array:
        """Return objectives turned so that larger is better, shape ``(len(rows), len(chosen))``."""
        signs = [self.objectives.all[place].utility(1.0) for place in chosen]
        values: Array = self.splits[split].value[
            np.ix_(rows, np.array(chosen, dtype=np.intp))
        ] * np.array(signs)
        return values


def _places_of(objectives: Objectives) -> dict[tuple[str, str], list[int]] | None:
    """Return (task, metric) → the objectives that are just that; None where some are made of more.

    The mean or the least of one part is that part, and needs no combining.
    """
    if objectives.constraints or any(not _is_plain(item) for item in objectives.all):
        return None
    places: dict[tuple[str, str], list[int]] = {}
    for place, item in enumerate(objectives.all):
        places.setdefault(item.parts[0], []).append(place)
    return places


def _is_plain(item: Objective) -> bool:
    return len(item.parts) == 1 and item.aggregate in _PLAIN


def grown(array: NDArray[Any], n: int, fill: float) -> NDArray[Any]:
    """Return ``array`` with room for ``n`` rows, new ones filled with ``fill``."""
    if len(array) >= n:
        return array
    more = max(n, 2 * len(array)) - len(array)
    rest = np.full((more, *array.shape[1:]), fill, dtype=array.dtype)
    return np.concatenate([array, rest])
