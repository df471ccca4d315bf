"""The paired difference of two models on one objective: the same examples, drawn again together."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evomerge.evaluation.intervals import Estimate, resamples
from evomerge.evaluation.objectives import strata_of
from evomerge.evaluation.protocol import Evaluator
from evomerge.runs.objectives import Objective

SAMPLES = 1000

Scores = Mapping[tuple[str, str], NDArray[np.float64]]
"""(task, metric) → per-example values, shape ``(n, width)``."""


@dataclass(frozen=True)
class Difference:
    """How much better one model is than another, on the same examples.

    Args:
        objective: Name of the objective.
        candidate, other: The two candidates' ids.
        estimate: Their values' difference, candidate minus other, in the objective's unit.
    """

    objective: str
    candidate: str
    other: str
    estimate: Estimate


def paired_difference(
    objective: Objective,
    evaluators: Mapping[str, Evaluator],
    scores: Scores,
    other: Scores,
    *,
    seed: int = 0,
    samples: int = SAMPLES,
) -> Estimate:
    """Return the difference of two models' values with a 95 % bootstrap interval.

    Examples are drawn with replacement, task by task and in a group member by member, and both
    models are aggregated over the same draws, so that what is hard for both cancels out.

    Args:
        objective: What is compared.
        evaluators: Task → evaluator, whose aggregates count.
        scores: Per-example values of the first model.
        other: Those of the second; the same shapes.
        seed: Seed of the draws.
        samples: Number of draws.
    """
    value = _value(objective, evaluators, scores, None) - _value(objective, evaluators, other, None)
    rng = np.random.default_rng(seed)
    differences = np.empty(samples)
    for sample in range(samples):
        # One draw a task: its metrics are of the same examples.
        draws: dict[str, NDArray[np.intp]] = {}
        for task, metric in objective.parts:
            n = len(scores[task, metric])
            if task not in draws:
                strata = strata_of(evaluators[task], scores[task, metric])
                draws[task] = resamples(rng, n, 1, strata)[0]
        differences[sample] = _value(objective, evaluators, scores, draws) - _value(
            objective, evaluators, other, draws
        )
    low, high = np.nanquantile(differences, [0.025, 0.975])
    n = sum(len(scores[part]) for part in objective.parts)
    return Estimate(value=value, low=min(float(low), value), high=max(float(high), value), n=n)


def _value(
    objective: Objective,
    evaluators: Mapping[str, Evaluator],
    scores: Scores,
    draws: Mapping[str, NDArray[np.intp]] | None,
) -> float:
    """Return the objective's value over all examples, or over the drawn ones."""
    estimates = {}
    for task, metric in objective.parts:
        values = scores[task, metric]
        chosen = values if draws is None else values[draws[task]]
        number = float(evaluators[task].aggregate(metric, chosen))
        estimates[task, metric] = Estimate(number, number, number, len(chosen))
    return objective.estimate(estimates).value
