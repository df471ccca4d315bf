"""How a run went: the best so far and the hypervolume over time, thinned to what a chart shows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evomerge.runs.objectives import Objective
from evomerge.service.reading.columns import DONE, FAILED, Columns, Indices
from evomerge.service.reading.follow import FollowedRun

MOST = 1_000
"""Points of a curve."""


def series_of(run: FollowedRun, *, points: int) -> dict[str, Any]:
    """Return the curves of a run on the search split as plain data.

    Args:
        run: The run.
        points: Most points of each curve.
    """
    columns = run.columns
    search = columns.splits["search"]
    n = columns.n
    settled = np.flatnonzero(search.state[:n] != 0)
    settled = settled[np.argsort(search.finished_s[settled], kind="stable")]
    scored = search.state[settled] == DONE
    return {
        "settled": _curve(
            np.arange(1, len(settled) + 1), search.finished_s[settled], {}, _even(settled, points)
        )
        | {"failed": _failed(search.state[settled] == FAILED, _even(settled, points))},
        "best": {
            item.name: _best(columns, place, item, settled, scored, points)
            for place, item in enumerate(columns.objectives.all)
        },
        "hypervolume": _covered(run, points),
        "failures": _reasons(search.failures),
    }


def _best(
    columns: Columns,
    place: int,
    item: Objective,
    settled: Indices,
    scored: np.ndarray[Any, Any],
    points: int,
) -> dict[str, Any]:
    """Return where an objective's best so far changed, with the candidate that it is of."""
    search = columns.splits["search"]
    may = scored & (search.violation[settled] == 0) & columns.may(settled)
    rows, counts = settled[may], np.flatnonzero(may) + 1
    utilities = search.value[rows, place] * item.utility(1.0)
    best = np.fmax.accumulate(utilities) if len(rows) else utilities
    before = np.concatenate([[np.nan], best[:-1]]) if len(rows) else best
    steps = np.flatnonzero((best != before) & ~np.isnan(best))
    steps = steps[_even(steps, points)]
    at = rows[steps]
    values = {part: getattr(search, part)[at, place] for part in ("value", "low", "high")}
    curve = _curve(counts[steps], search.finished_s[at], values, slice(None))
    return curve | {"candidates": [columns.names[row] for row in at]}


def _covered(run: FollowedRun, points: int) -> dict[str, Any] | None:
    found = run.covered
    if not found:
        return None
    kept = [found[index] for index in _even(found, points)]
    return {
        "evaluated": [item.evaluated for item in kept],
        "at_s": [item.at_s for item in kept],
        "value": [item.value for item in kept],
    }


def _curve(
    counts: Indices,
    at_s: np.ndarray[Any, Any],
    values: Mapping[str, np.ndarray[Any, Any]],
    kept: Any,
) -> dict[str, Any]:
    return {
        "evaluated": counts[kept].tolist(),
        "at_s": at_s[kept].tolist(),
        **{name: column[kept].tolist() for name, column in values.items()},
    }


def _failed(failed: np.ndarray[Any, Any], kept: Indices) -> list[int]:
    """Return how many had failed at each point."""
    counts: list[int] = np.cumsum(failed)[kept].tolist()
    return counts


def _even(items: Sequence[Any] | np.ndarray[Any, Any], points: int) -> Indices:
    """Return at most ``points`` places, evenly spread, the first and the last among them."""
    n = len(items)
    if n <= points:
        return np.arange(n)
    return np.unique(np.linspace(0, n - 1, points).round().astype(np.intp))


def _reasons(failures: Mapping[int, tuple[str, str]]) -> list[dict[str, Any]]:
    """Return why candidates failed, the most frequent reason first, twenty at the most."""
    counts: dict[tuple[str, str], int] = {}
    for reason in list(failures.values()):
        counts[reason] = counts.get(reason, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [
        {"kind": kind, "message": message, "candidates": n} for (kind, message), n in ordered[:20]
    ]
