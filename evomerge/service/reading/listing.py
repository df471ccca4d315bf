"""Candidates of a run as a list: filtered, sorted, a page at a time."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import EvaluationError, ServiceError, nearest
from evomerge.runs.objectives import parse_constraint
from evomerge.service.reading.columns import FAILED, STATES, Array, Columns, Indices
from evomerge.service.reading.cursors import cursor_of, read_cursor

MOST = 200
"""Rows of a page."""
SORTS = ("asked", "finished", "device_s")
"""What a list can be sorted by, beside the objectives."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Wanted:
    """Which candidates, and in which order.

    Args:
        split: Split of states and scores.
        states: ``pending``, ``done``, ``failed``; none for all.
        kind: ``search`` or ``reference``; empty for both.
        origin: Beginning of the origin.
        text: Part of the id.
        parent: Id of a parent.
        where: Bounds on objectives that it must keep, ``NAME >= NUMBER`` or ``NAME <= NUMBER``.
        only: Ids to choose from; None for all.
        sort: One of ``SORTS`` or an objective; a minus before it turns the order round.
    """

    split: str = "search"
    states: Sequence[str] = ()
    kind: str = ""
    origin: str = ""
    text: str = ""
    parent: str = ""
    where: Sequence[str] = ()
    only: frozenset[str] | None = None
    sort: str = "asked"


@dataclass(frozen=True)
class Page:
    """Rows of a list.

    Args:
        rows: Rows of the columns.
        total: How many there are on all pages.
        cursor: Where the next page begins; None on the last one.
    """

    rows: Sequence[int]
    total: int
    cursor: str | None = field(default=None)


def page_of(columns: Columns, wanted: Wanted, *, limit: int, cursor: str | None) -> Page:
    """Return a page of the candidates that are ``wanted``.

    Pages fit together while the run goes on: a cursor says after which value and row to go on. What
    has no value comes last.

    Raises:
        ServiceError: 422: an unknown objective, a bound that isn't one, a broken cursor.
    """
    n = columns.n
    mask = _mask(columns, wanted, n)
    key = _key(columns, wanted, n)
    total = int(mask.sum())
    if cursor is not None:
        mask &= _after(key, *read_cursor(cursor, float, int))
    rows = _first(np.flatnonzero(mask), key, limit + 1)
    more = len(rows) > limit
    rows = rows[:limit]
    following = cursor_of(float(key[rows[-1]]), int(rows[-1])) if more else None
    return Page(rows.tolist(), total, following)


def objective_number(columns: Columns, name: str) -> int:
    """Return the number of the objective ``name``.

    Raises:
        ServiceError: 422: there is none.
    """
    names = [item.name for item in columns.objectives.all]
    if name not in names:
        raise ServiceError(422, f"no objective is called {name!r}; {nearest(name, names)}")
    return names.index(name)


def candidate_item(columns: Columns, split: str, row: int) -> dict[str, Any]:
    """Return a row of the list as plain data."""
    found = columns.splits[split]
    state = int(found.state[row])
    failure = found.failures.get(row) if state == FAILED else None
    return {
        "candidate": columns.names[row],
        "kind": columns.kinds[row],
        "origin": columns.origins[row],
        "ask": columns.ask[row],
        "parents": columns.parents[row],
        "recipe_hash": columns.recipes[row],
        "status": STATES[state],
        "objectives": objectives_of(columns, split, row),
        "feasible": bool(found.violation[row] == 0) if STATES[state] == "done" else None,
        "failure": None if failure is None else {"kind": failure[0], "message": failure[1]},
        "finished_s": float(found.finished_s[row]),
        "attempts": int(columns.attempts[row]),
        "device_s": float(columns.device_s[row]),
    }


def objectives_of(columns: Columns, split: str, row: int) -> dict[str, Mapping[str, Any]]:
    """Return objective → value, interval and number of examples; empty where it isn't scored."""
    found = columns.splits[split]
    if STATES[int(found.state[row])] != "done":
        return {}
    return {
        item.name: {
            "value": float(found.value[row, place]),
            "low": float(found.low[row, place]),
            "high": float(found.high[row, place]),
            "n": int(found.examples[row, place]),
        }
        for place, item in enumerate(columns.objectives.all)
    }


def _mask(columns: Columns, wanted: Wanted, n: int) -> Mask:
    found = columns.splits[wanted.split]
    mask = np.ones(n, dtype=bool)
    if wanted.states:
        numbers = [STATES.index(state) for state in wanted.states]
        mask &= np.isin(found.state[:n], numbers)
    if wanted.parent:
        mask &= _of_rows(n, columns.children.get(wanted.parent, ()))
    if wanted.only is not None:
        mask &= _of_rows(n, [columns.rows[name] for name in wanted.only if name in columns.rows])
    for text in wanted.where:
        mask &= _keeps(columns, found.value[:n], text)
    # What has to be looked at one by one comes last, when few may be left.
    for row in np.flatnonzero(mask) if wanted.kind or wanted.origin or wanted.text else ():
        mask[row] = (
            wanted.kind in ("", columns.kinds[row])
            and columns.origins[row].startswith(wanted.origin)
            and wanted.text in columns.names[row]
        )
    return mask


def _of_rows(n: int, rows: Sequence[int]) -> Mask:
    mask = np.zeros(n, dtype=bool)
    mask[[row for row in rows if row < n]] = True
    return mask


def _keeps(columns: Columns, values: Array, text: str) -> Mask:
    """Say which candidates keep a bound; those without a value don't."""
    try:
        name, at_least, bound = parse_constraint(text)
    except EvaluationError as error:
        raise ServiceError(422, f"where: {error}") from error
    column = values[:, objective_number(columns, name)]
    kept: Mask = column >= bound if at_least else column <= bound
    return kept


def _key(columns: Columns, wanted: Wanted, n: int) -> Array:
    """Return what is sorted by, ascending; NaN where there is no value."""
    name = wanted.sort.removeprefix("-")
    sign = -1.0 if wanted.sort.startswith("-") else 1.0
    found = columns.splits[wanted.split]
    names = [item.name for item in columns.objectives.all]
    if name in names:
        key = found.value[:n, names.index(name)]
    elif name == "finished":
        key = found.finished_s[:n]
    elif name == "device_s":
        key = columns.device_s[:n]
    elif name == "asked":
        key = np.arange(n, dtype=np.float64)
    else:
        known = [*SORTS, *names]
        raise ServiceError(422, f"sort: nothing is called {name!r}; {nearest(name, known)}")
    ordered: Array = sign * key
    return ordered


def _first(rows: Indices, key: Array, n: int) -> Indices:
    """Return the first ``n`` of ``rows`` by key, then by row; NaN last."""
    keys = key[rows]
    if len(rows) > n:
        last = np.partition(keys, n - 1)[n - 1]
        if not math.isnan(last):
            rows = rows[keys <= last]
            keys = key[rows]
    return rows[np.argsort(keys, kind="stable")][:n]


def _after(key: Array, value: float, row: int) -> Mask:
    later = np.arange(len(key)) > row
    if math.isnan(value):
        last: Mask = np.isnan(key) & later
        return last
    following: Mask = (key > value) | np.isnan(key) | ((key == value) & later)
    return following
