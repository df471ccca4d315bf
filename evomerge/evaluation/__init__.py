"""Evaluators: what turns merged weights into per-example scores, and scores into objectives."""

from evomerge.evaluation.intervals import Estimate, combine
from evomerge.evaluation.objectives import (
    Term,
    check_direction,
    estimate_task,
    find_metric,
    parse_term,
)
from evomerge.evaluation.protocol import (
    EVALUATORS,
    SPLITS,
    Evaluator,
    EvaluatorFactory,
    Example,
    ExampleRecord,
    Metric,
    evaluator,
)

__all__ = [
    "EVALUATORS",
    "SPLITS",
    "Estimate",
    "Evaluator",
    "EvaluatorFactory",
    "Example",
    "ExampleRecord",
    "Metric",
    "Term",
    "check_direction",
    "combine",
    "estimate_task",
    "evaluator",
    "find_metric",
    "parse_term",
]
