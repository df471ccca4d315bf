"""Objectives: names of evaluators and metrics, and numbers from per-example values."""

from typing import Any

import numpy as np
import pytest

from evomerge.errors import EvaluationError
from evomerge.evaluation import Metric, Term, check_direction, estimate_task, parse_term


class Fake:
    """Aggregates the way a perplexity does."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.metrics = (Metric("acc", binary=True), Metric("ppl", "minimize", width=2))
        self.primary = "acc"

    def aggregate(self, metric: str, values: np.ndarray) -> float:
        return float(values[:, 0].sum() / (len(values) if metric == "acc" else values[:, 1].sum()))


EVALUATORS: dict[str, Any] = {"qa": Fake("qa"), "qa.hard": Fake("qa.hard")}


@pytest.mark.parametrize(
    ("entry", "term"),
    [
        ("qa", Term("qa", "acc")),
        ("qa.ppl", Term("qa", "ppl")),
        ("qa.hard", Term("qa.hard", "acc")),
        ("qa.hard.ppl", Term("qa.hard", "ppl")),
    ],
)
def test_entries_name_an_evaluator_and_maybe_a_metric(entry: str, term: Term) -> None:
    assert parse_term(entry, EVALUATORS) == term


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("qa.hrd", r"evaluator 'qa' has no metric 'hrd'"),
        ("qaa", r"no evaluator is called 'qaa'; did you mean 'qa'"),
        ("other.acc", "no evaluator is called 'other.acc'"),
        ("qa.acd", r"evaluator 'qa' has no metric 'acd'; did you mean 'acc'"),
    ],
)
def test_unknown_entries_name_the_nearest(entry: str, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        parse_term(entry, EVALUATORS)


def test_a_direction_against_the_metric_is_noticed() -> None:
    assert check_direction("maximize", [Term("qa", "acc")], EVALUATORS) is None
    warning = check_direction("maximize", [Term("qa", "acc"), Term("qa", "ppl")], EVALUATORS)
    assert warning == "maximize qa.ppl, which is better when one would minimize it"


def test_a_tasks_number_comes_from_the_evaluators_aggregate() -> None:
    values = np.array([[4.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    assert estimate_task(EVALUATORS["qa"], "ppl", values).value == 1.5
    binary = estimate_task(EVALUATORS["qa"], "acc", np.array([[1.0], [0.0]]))
    assert (binary.value, binary.n) == (0.5, 2)
    assert estimate_task(EVALUATORS["qa"], "acc", np.empty((0, 1))).n == 0
