"""What lm-eval's tasks return per example, stored as floats and restored for aggregates."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evomerge.errors import EvaluationError

BINARY = frozenset(("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match"))
"""Metrics of lm-eval that give 0 or 1."""

CHOSEN = frozenset(("acc", "acc_norm", "acc_bytes"))
"""Metrics of choosing an answer, in which guessing has a share of right ones."""


@dataclass(frozen=True)
class Shape:
    """Structure of one metric's per-example value.

    Args:
        kind: ``int``, ``float``, ``list`` or ``tuple``.
        parts: Structures of a list's or tuple's elements.
    """

    kind: str
    parts: tuple["Shape", ...] = ()

    @property
    def width(self) -> int:
        """Floats that a value takes."""
        return sum(part.width for part in self.parts) if self.kind in ("list", "tuple") else 1


FLOAT = Shape("float")


def shape_of(value: Any) -> Shape | None:
    """Return the structure of ``value``, or None where it holds texts or anything else."""
    if isinstance(value, (bool, int, np.bool_, np.integer)):
        return Shape("int")
    if isinstance(value, (float, np.floating)):
        return FLOAT
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        parts = [shape_of(part) for part in value]
        known = tuple(part for part in parts if part is not None)
        if known and len(known) == len(parts):
            return Shape("list" if isinstance(value, list) else "tuple", known)
    return None


def flatten(value: Any) -> list[float]:
    """Return the numbers in ``value``, in order."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [number for part in value for number in flatten(part)]
    return [float(value)]


def restore(shape: Shape, numbers: Sequence[float]) -> Any:
    """Return the value that ``flatten`` took apart."""
    if shape.kind in ("int", "float"):
        number = float(numbers[0])
        # A whole number stays one where the first example showed one: labels index arrays.
        return int(number) if shape.kind == "int" and number.is_integer() else number
    parts: list[Any] = []
    start = 0
    for part in shape.parts:
        parts.append(restore(part, numbers[start : start + part.width]))
        start += part.width
    return parts if shape.kind == "list" else tuple(parts)


def encode(shape: Shape, value: Any, metric: str) -> tuple[float, ...]:
    """Return ``value`` as ``shape.width`` floats.

    Raises:
        EvaluationError: It has another length than the first example's, or is no number.
    """
    try:
        numbers = flatten(value)
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != shape.width:
        raise EvaluationError(
            f"metric {metric!r} gave {value!r}; expected {shape.width} numbers as for the first "
            "example. Choose another metric of the task."
        )
    return tuple(numbers)


def aggregate_items(task: Any, metric: str, items: Sequence[Any]) -> float:
    """Return lm-eval's own aggregate of per-example values; its mean where the task names none."""
    from lm_eval.api.metrics import mean

    function = task.aggregation().get(metric, mean)
    try:
        return float(function(list(items)))
    except OverflowError:
        # exp of a huge negative log-likelihood: lm-eval stops there, a search goes on.
        return math.inf


def aggregate_group(
    group: Any, key: str, values: Mapping[str, float], sizes: Mapping[str, int]
) -> float:
    """Return a group's aggregate of its tasks' numbers, by the group's own rule.

    Args:
        group: lm-eval's group; None, or one without a rule for the metric, takes the plain mean.
        key: ``METRIC,FILTER`` as lm-eval writes it.
        values: Task → number; empty where no scored example's task has the metric.
        sizes: Task → examples.

    Returns:
        The number; NaN where ``values`` is empty.
    """
    from lm_eval.api.metrics import aggregate_subtask_metrics

    if not values:
        return math.nan
    if group is not None:
        metrics = {name: {key: values[name], "sample_len": sizes[name]} for name in values}
        result = group.aggregate(metrics)
        if key in result:
            return float(result[key])
    names = list(values)
    return float(
        aggregate_subtask_metrics([values[n] for n in names], [sizes[n] for n in names], False)
    )
