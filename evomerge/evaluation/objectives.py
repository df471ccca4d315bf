"""Objectives: evaluators' numbers combined into the named numbers that a search works on.

Values stay raw, in their own unit and direction; turning them for a searcher is the run's business.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import EvaluationError, nearest
from evomerge.evaluation.intervals import MISSING, Estimate, combine, combine_values, estimate
from evomerge.evaluation.protocol import Evaluator, Grouped, Metric


@dataclass(frozen=True)
class Term:
    """One entry of an objective's ``from``: a metric of an evaluator."""

    evaluator: str
    metric: str


def parse_term(
    entry: str, evaluators: Mapping[str, Evaluator], known: Iterable[str] | None = None
) -> Term:
    """Return the metric that ``EVALUATOR`` (its primary one) or ``EVALUATOR.METRIC`` names.

    Args:
        entry: What the user wrote.
        evaluators: By name.
        known: All names that the user may have meant, where some evaluators couldn't be built.

    Raises:
        EvaluationError: There is no such evaluator or metric; the nearest names are given.
    """
    if entry in evaluators:
        return Term(entry, evaluators[entry].primary)
    # Names of evaluators and metrics may hold dots themselves, so each dot may be the divider.
    dots = [index for index, character in enumerate(entry) if character == "."]
    for dot in reversed(dots):
        name, metric = entry[:dot], entry[dot + 1 :]
        if name in evaluators:
            find_metric(evaluators[name], metric, name)
            return Term(name, metric)
    raise EvaluationError(
        f"no evaluator is called {entry!r}; {nearest(entry, known or evaluators)}"
    )


def find_metric(evaluator: Evaluator, metric: str, name: str) -> Metric:
    """Return the declaration of ``metric``.

    Raises:
        EvaluationError: The evaluator has no such metric.
    """
    for known in evaluator.metrics:
        if known.name == metric:
            return known
    raise EvaluationError(
        f"evaluator {name!r} has no metric {metric!r}; "
        f"{nearest(metric, [known.name for known in evaluator.metrics])}"
    )


def check_direction(
    direction: str, terms: Sequence[Term], evaluators: Mapping[str, Evaluator]
) -> str | None:
    """Return a warning when an objective's direction is not that of its metrics, else None."""
    for term in terms:
        known = find_metric(evaluators[term.evaluator], term.metric, term.evaluator)
        if known.direction != direction:
            return (
                f"{direction} {term.evaluator}.{term.metric}, which is better when one would "
                f"{known.direction} it"
            )
    return None


def estimate_task(
    evaluator: Evaluator, metric: str, values: NDArray[np.float64], *, seed: int = 0
) -> Estimate:
    """Return a task's number with its interval.

    Args:
        evaluator: Whose aggregate counts.
        metric: One of its metrics.
        values: Per-example values, shape ``(n, width)``; rows with NaN were not scored, nor were
            those that an evaluator with a method ``scored`` says so of.
        seed: Seed of the bootstrap, where one is needed.
    """
    grouped = _grouped(evaluator)
    if grouped is not None:
        values = values[grouped.scored(metric, values)]
    if not len(values):
        return MISSING
    known = find_metric(evaluator, metric, getattr(evaluator, "name", "evaluator"))
    return estimate(
        values,
        lambda chosen: evaluator.aggregate(metric, chosen),
        binary=known.binary,
        strata=strata_of(evaluator, values),
        seed=seed,
    )


def strata_of(evaluator: Evaluator, values: NDArray[np.float64]) -> NDArray[np.intp] | None:
    """Return the label of each row's stratum, shape ``(n,)``; None where there is only one."""
    grouped = _grouped(evaluator)
    return None if grouped is None else grouped.strata(values)


def _grouped(evaluator: Evaluator) -> Grouped | None:
    """Return the evaluator if it is over several tasks, else None."""
    return cast(Grouped, evaluator) if _is_grouped(type(evaluator)) else None


@functools.cache
def _is_grouped(kind: type) -> bool:
    """Say if evaluators of the class ``kind`` are; Python takes 0.1 ms to find out."""
    return issubclass(kind, Grouped)


__all__ = [
    "Estimate",
    "Term",
    "check_direction",
    "combine",
    "combine_values",
    "estimate_task",
    "find_metric",
    "parse_term",
    "strata_of",
]
