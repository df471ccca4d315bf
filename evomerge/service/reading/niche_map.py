"""Who covers which examples: members by examples, in an order that shows it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.runs.reading.niches import Part
from evomerge.search.niches import attraction

MOST_COLUMNS = 600
MOST_ROWS = 100
MOST_MATES = 40
"""Members whose attraction to each other is told."""

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


def map_of(scores: Array, parts: Sequence[Part]) -> dict[str, Any]:
    """Return the scores of members as columns of examples, plain data.

    Examples of a task stand in the order of who is best on them: first those of the fittest member,
    those last that nobody solves. Where there are too many, neighbours share a column, which shows
    their mean.

    Args:
        scores: Utilities in [0, 1], shape ``(m, n)``, the fittest member first.
        parts: What the numbers of examples stand for.
    """
    n = scores.shape[1]
    shown = scores[:MOST_ROWS]
    columns: list[Indices] = []
    ranges = []
    for part in parts:
        order = part.first + _telling(scores[:, part.first : part.first + part.n])
        pieces = max(1, min(part.n, MOST_COLUMNS * part.n // max(n, 1))) if part.n else 0
        ranges.append(
            {"task": part.task, "metric": part.metric, "first": len(columns), "n": pieces}
        )
        columns += np.array_split(order, pieces) if pieces else []
    means = [shown[:, column].mean(axis=1) for column in columns]
    best = [float(scores[:, column].max(axis=0).mean()) for column in columns]
    return {
        "parts": ranges,
        "columns": [column.tolist() for column in columns],
        "scores": np.stack(means, axis=1).round(3).tolist() if means else [[] for _ in shown],
        "best": [round(value, 3) for value in best],
    }


def attraction_of(scores: Array, names: Sequence[str]) -> dict[str, Any]:
    """Return how much each of the fittest members would add to each other one, plain data.

    Args:
        scores: Utilities in [0, 1], shape ``(m, n)``, the fittest member first.
        names: The members.
    """
    few = min(len(names), MOST_MATES)
    value = [attraction(scores, first)[:few].round(3).tolist() for first in range(few)]
    return {"candidates": list(names[:few]), "value": value}


def _telling(scores: Array) -> Indices:
    """Return the order of examples: by who is best, then by how many do well."""
    if not len(scores):
        return np.arange(scores.shape[1])
    best = scores.max(axis=0)
    # Of several equally good ones the fittest counts; nobody comes after all.
    winner = np.where(best > 0, scores.argmax(axis=0), len(scores))
    return np.lexsort((np.arange(len(best)), -scores.sum(axis=0), -best, winner))
