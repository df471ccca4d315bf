"""What sets two candidates of a run apart: genes, recipe, scores, and examples won and lost."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import LedgerError
from evomerge.evaluation.intervals import Estimate, estimate
from evomerge.evaluation.protocol import Metric
from evomerge.runs.driver.state import SEARCH, VALIDATION
from evomerge.runs.reading.results import CandidateDetails, RunResults

Pair = tuple[Any, Any]
"""The first candidate's value and the second's; None where one has none."""


@dataclass(frozen=True)
class TaskDiff:
    """Two candidates on the same examples of one task.

    Args:
        task, metric: The task, and its primary metric.
        difference: Mean over examples of the first candidate's value minus the second's. Of a
            metric whose examples hold several numbers it is the utility in [0, 1] that is compared.
        won, lost: Examples on which the first is better, or worse, numbered within the split.
    """

    task: str
    metric: str
    difference: Estimate
    won: tuple[int, ...]
    lost: tuple[int, ...]


@dataclass(frozen=True)
class CandidatesDiff:
    """Two candidates side by side.

    Args:
        candidates: Their ids.
        genes: Gene → both values, where they differ; empty for a reference, which has no genome.
        recipe: Place in the recipe → both values, where they differ.
        split: The split whose scores are compared: validation, where both have them there.
        objectives: Objective → both estimates.
        tasks: The tasks, example by example.
    """

    candidates: tuple[str, str]
    genes: Mapping[str, Pair]
    recipe: Mapping[str, Pair]
    split: str
    objectives: Mapping[str, tuple[Estimate, Estimate]]
    tasks: tuple[TaskDiff, ...]


def diff_candidates(results: RunResults, first: str, second: str) -> CandidatesDiff:
    """Compare two candidates of a run.

    Args:
        results: The run.
        first: An id, or ``best``.
        second: Another.

    Raises:
        LedgerError: There is no such candidate, or no split on which both have scores.
    """
    a, b = results.show(first), results.show(second)
    split = _common_split(a, b)
    both = a.genome is not None and b.genome is not None
    return CandidatesDiff(
        candidates=(a.candidate, b.candidate),
        genes=_changed(dict(a.genome or {}), dict(b.genome or {})) if both else {},
        recipe=_changed(dict(_leaves(a.recipe)), dict(_leaves(b.recipe))),
        split=split,
        objectives={
            name: (found, b.objectives[split][name]) for name, found in a.objectives[split].items()
        },
        tasks=tuple(_tasks(results, (a.candidate, b.candidate), split)),
    )


def _common_split(a: CandidateDetails, b: CandidateDetails) -> str:
    common = [split for split in a.objectives if split in b.objectives]
    if not common:
        raise LedgerError(
            f"candidates {a.candidate} and {b.candidate} have no scores on the same split. Compare "
            "candidates that were both scored."
        )
    return next((split for split in (VALIDATION, SEARCH) if split in common), common[0])


def _tasks(results: RunResults, names: tuple[str, str], split: str) -> Iterator[TaskDiff]:
    for task in results.objectives.tasks:
        facts = results.row.tasks[task]
        found = next(item for item in facts["metrics"] if item["name"] == facts["primary"])
        metric = Metric(**found)
        scores = [results.records.scores(name, split, task, metric.name) for name in names]
        values = [_numbers(metric, item) for item in scores]
        if values[0] is None or values[1] is None or len(values[0]) != len(values[1]):
            continue
        difference = values[0] - values[1]
        down = metric.direction == "minimize" and metric.width == 1
        gain = -difference if down else difference
        yield TaskDiff(
            task=task,
            metric=metric.name,
            difference=estimate(difference[:, None], lambda rows: float(rows[:, 0].mean())),
            won=tuple(np.flatnonzero(gain > 0).tolist()),
            lost=tuple(np.flatnonzero(gain < 0).tolist()),
        )


def _numbers(metric: Metric, values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return one number an example, shape ``(n,)``; None where there is none to compare."""
    if not len(values):
        return None
    return values[:, 0] if metric.width == 1 else metric.utilities(values)


def _leaves(plain: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (place, value) of all that is no list or mapping in ``plain``."""
    if isinstance(plain, Mapping):
        for key, value in plain.items():
            yield from _leaves(value, f"{place}.{key}" if place else str(key))
    elif isinstance(plain, list):
        for index, value in enumerate(plain):
            yield from _leaves(value, f"{place}[{index}]")
    else:
        yield place, plain


def _changed(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Pair]:
    """Return what differs, in the order of the first, then of the second."""
    places = dict.fromkeys([*a, *b])
    return {place: (a.get(place), b.get(place)) for place in places if a.get(place) != b.get(place)}
