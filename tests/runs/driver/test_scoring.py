"""Numbers of a task from the scores of its blocks."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from evomerge.evaluation.intervals import Estimate
from evomerge.evaluation.protocol import Metric
from evomerge.execution.protocol import Failure
from evomerge.runs.driver.scoring import Scorer


class Members:
    """A group whose second member alone has the metric."""

    metrics = (Metric("hit", width=2),)

    def fingerprint(self) -> str:
        return "0" * 64

    def strata(self, values: np.ndarray) -> np.ndarray:
        return values[:, 0].astype(np.intp)

    def scored(self, metric: str, values: np.ndarray) -> np.ndarray:
        return values[:, 0] == 1

    def aggregate(self, metric: str, values: np.ndarray) -> float:
        return float(values[:, 1].mean())


def estimated(rows: list[list[float]]) -> Estimate | Failure:
    scorer = Scorer(
        cast(Any, None),
        {"group": cast(Any, Members())},
        tasks=["group"],
        dtype=None,
        numeric_class="cpu",
        needed=[("group", "hit")],
        run_id=None,
    )
    block = SimpleNamespace(values={"hit": np.array(rows)})
    return scorer._estimate("group", "hit", cast(Any, [block]))


def test_a_metric_that_no_example_has_is_a_failure_that_says_so() -> None:
    found = estimated([[0.0, 0.0], [0.0, 0.0]])
    assert isinstance(found, Failure)
    assert found.message.startswith("task 'group': metric 'hit': no scored example is of a member")


def test_examples_of_members_without_the_metric_do_not_count() -> None:
    found = estimated([[0.0, 0.0], [1.0, 0.75]])
    assert found == Estimate(0.75, 0.75, 0.75, 1)
