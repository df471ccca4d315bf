import numpy as np
import pytest

from evomerge.runs.objectives import Objective
from evomerge.runs.reading.comparison import paired_difference
from tests.runs.fakes import EVALUATORS

MEAN = Objective("mean", (("near", "hit"), ("far", "hit")), "mean", "maximize")


def scores(near: list[float], far: list[float]) -> dict:
    return {
        ("near", "hit"): np.array(near)[:, None],
        ("far", "hit"): np.array(far)[:, None],
    }


def test_equal_models_do_not_differ() -> None:
    one = scores([1, 0, 1, 1], [0, 1])
    found = paired_difference(MEAN, EVALUATORS, one, one)
    assert (found.value, found.low, found.high, found.n) == (0.0, 0.0, 0.0, 6)


def test_pairing_cancels_what_is_hard_for_both() -> None:
    rng = np.random.default_rng(0)
    hard = rng.integers(0, 2, 200).astype(float)
    better = np.minimum(hard + (np.arange(200) % 10 == 0), 1.0)
    one, other = scores(list(better), [1.0]), scores(list(hard), [1.0])
    found = paired_difference(MEAN, EVALUATORS, one, other)
    assert found.value == pytest.approx((better - hard).mean() / 2)
    assert 0 < found.low < found.value < found.high
    # Unpaired, two proportions of 200 examples have an interval six times as wide.
    assert found.high - found.low < 0.05


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    only = Objective("near", (("near", "hit"),), "mean", "maximize")
    covered = 0
    for seed in range(40):
        base = rng.random(80)
        one, other = (base < 0.7).astype(float), (base < 0.5).astype(float)
        found = paired_difference(
            only,
            EVALUATORS,
            {("near", "hit"): one[:, None]},
            {("near", "hit"): other[:, None]},
            seed=seed,
            samples=150,
        )
        covered += found.low <= 0.2 <= found.high
    assert covered >= 34


class Members:
    """Two members, of which only the second, a single example, has the metric."""

    def strata(self, values: np.ndarray) -> np.ndarray:
        return values[:, 0].astype(np.intp)

    def scored(self, metric: str, values: np.ndarray) -> np.ndarray:
        return values[:, 0] == 1

    def aggregate(self, metric: str, values: np.ndarray) -> float:
        chosen = [row[1] for row in values.tolist() if row[0] == 1]
        return sum(chosen) / len(chosen)


def test_every_draw_of_a_group_holds_all_its_members() -> None:
    only = Objective("only", (("group", "hit"),), "mean", "maximize")
    one, other = (
        {("group", "hit"): np.array([[0.0, 0.0]] * 9 + [[1.0, hit]])} for hit in (1.0, 0.25)
    )
    found = paired_difference(only, {"group": Members()}, one, other, samples=50)  # type: ignore[dict-item]
    assert (found.value, found.low, found.high) == (0.75, 0.75, 0.75)
