"""Evaluators: what turns merged weights into per-example scores, and scores into objectives."""

from evomerge.evaluation.protocol import (
    EVALUATORS,
    SPLITS,
    Evaluator,
    EvaluatorFactory,
    Example,
    ExampleRecord,
    Metric,
    NotFiniteError,
    evaluator,
)

__all__ = [
    "EVALUATORS",
    "SPLITS",
    "Evaluator",
    "EvaluatorFactory",
    "Example",
    "ExampleRecord",
    "Metric",
    "NotFiniteError",
    "evaluator",
]
