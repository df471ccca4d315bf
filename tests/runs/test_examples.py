"""Scores of single examples on their way to a searcher: their range, their order, after a kill."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from evomerge.errors import SearchError
from evomerge.evaluation.protocol import Metric
from evomerge.recipes.space import SearchSpace
from evomerge.runs.examples import Examples
from evomerge.runs.objectives import Objectives
from evomerge.search.protocol import Searcher
from evomerge.search.random import RandomSearcher
from tests.runs.fakes import BINARY, EVALUATORS, ONE, TWO, FakeRun, facts_of

finite = st.floats(-50, 50)


class Listener(RandomSearcher):
    """Remembers the examples that it was told of."""

    needs_examples = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.heard: dict[str, NDArray[np.float64] | None] = {}

    def tell(self, evaluations: Any) -> None:
        evaluations = list(evaluations)
        self.heard |= {item.candidate_id: item.examples for item in evaluations}
        super().tell(evaluations)


def listening_run(folder: Path, heard: list[Listener], **settings: Any) -> FakeRun:
    def make(space: SearchSpace, objectives: int) -> Searcher:
        heard.append(Listener(space, seed=3, n_objectives=objectives, population=6))
        return heard[-1]

    return FakeRun(folder, make_searcher=make, evaluators=BINARY, **settings)


@given(arrays(np.float64, (5, 2), elements=finite), st.sampled_from(["maximize", "minimize"]))
def test_utilities_lie_between_0_and_1(values: NDArray[np.float64], direction: str) -> None:
    values[:, 1] = np.abs(values[:, 1]) + 1
    for metric in (
        Metric("unit", direction, range="unit", width=2),
        Metric("log", direction, range="log", width=2),
        Metric("hit", direction, binary=True),
    ):
        found = utilities(metric, values)
        assert found.shape == (5,)
        assert found.min() >= 0
        assert found.max() <= 1


def utilities(metric: Metric, values: NDArray[np.float64]) -> NDArray[np.float64]:
    found = metric.utilities(values)
    assert found is not None
    return found


def test_utilities_worked_by_hand() -> None:
    rows = np.array([[np.log(0.25) * 2, 2.0], [0.0, 3.0], [np.nan, 1.0]])
    log = Metric("perplexity", "minimize", width=2, range="log")
    np.testing.assert_allclose(utilities(log, rows), [0.25, 1.0, np.nan])
    errors = Metric("error", "minimize", range="unit")
    np.testing.assert_allclose(utilities(errors, np.array([[0.0], [0.25]])), [1.0, 0.75])
    assert Metric("tokens").utilities(rows[:, :1]) is None


def test_a_searcher_hears_every_example_and_hears_it_again_after_a_kill(tmp_path: Path) -> None:
    heard: list[Listener] = []
    run = listening_run(tmp_path, heard, budget=12)
    list(run.start().drive())
    live = heard[-1].heard
    records = run.records()
    assert len(live) == 12
    for name, examples in live.items():
        stored = [records.scores(name, "search", task, "hit")[:, 0] for task in ("near", "far")]
        np.testing.assert_array_equal(examples, np.concatenate(stored))
    run.resume()
    assert heard[-1] is not heard[0]
    for name, examples in heard[-1].heard.items():
        np.testing.assert_array_equal(examples, live[name])
    assert len(heard[-1].heard) == 12


def test_others_hear_none(tmp_path: Path) -> None:
    heard: list[Listener] = []
    run = listening_run(tmp_path, heard, budget=6)
    Listener.needs_examples = False
    try:
        list(run.start().drive())
    finally:
        Listener.needs_examples = True
    assert set(heard[-1].heard.values()) == {None}


def test_objectives_without_a_range_are_left_out() -> None:
    facts = facts_of(EVALUATORS)
    found = Examples(Objectives.from_plain(ONE | TWO, facts), EVALUATORS)
    assert found.parts == (("near", "hit"), ("far", "hit"))
    only = {"far": TWO["far"]}
    with pytest.raises(SearchError, match=r"none of far\.distance has such scores"):
        Examples(Objectives.from_plain(only, facts), EVALUATORS)


def test_an_objective_turned_round_turns_its_examples() -> None:
    turned = {"near": {"from": ["near"], "aggregate": "mean", "direction": "minimize"}}
    found = Examples(Objectives.from_plain(turned, facts_of(BINARY)), BINARY)
    assert found._join({("near", "hit"): np.array([[1.0], [0.0]])}).tolist() == [0.0, 1.0]
