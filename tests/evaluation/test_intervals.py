"""Intervals: worked values, coverage, combinations, missing values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import EvaluationError
from evomerge.evaluation.intervals import (
    AGGREGATES,
    MISSING,
    Estimate,
    bootstrap,
    combine,
    combine_values,
    estimate,
    wilson,
)


def column(values: list[float]) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


def mean(values: np.ndarray) -> float:
    return float(values[:, 0].mean())


def test_wilson_matches_published_values() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
    for successes, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(n=st.integers(1, 300), data=st.data())
def test_wilson_holds_the_share_and_mirrors(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    low, high = wilson(k, n)
    assert 0 <= low <= k / n <= high <= 1
    assert wilson(n - k, n) == pytest.approx((1 - high, 1 - low))


def test_binary_scores_get_wilson_others_the_bootstrap() -> None:
    zeros_and_ones = column([1.0] * 30 + [0.0] * 70)
    found = estimate(zeros_and_ones, mean, binary=True)
    assert (found.low, found.high) == wilson(30, 100)
    graded = estimate(zeros_and_ones * 0.5, mean, binary=True)
    assert (graded.low, graded.high) != wilson(15, 100)
    assert graded.low < 0.15 < graded.high


def test_bootstrap_covers_the_mean_about_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for repeat in range(300):
        values = rng.exponential(size=(80, 1))
        low, high = bootstrap(values, mean, seed=repeat, samples=300)
        covered += low <= 1.0 <= high
    assert 0.90 <= covered / 300 <= 0.98


def test_bootstrap_repeats_under_a_seed_and_uses_the_aggregate() -> None:
    rng = np.random.default_rng(1)
    values = np.stack([-rng.exponential(50, 40), rng.integers(5, 30, 40).astype(float)], axis=1)

    def perplexity(chosen: np.ndarray) -> float:
        return float(np.exp(-chosen[:, 0].sum() / chosen[:, 1].sum()))

    first, second = (estimate(values, perplexity, seed=7) for _ in range(2))
    assert first == second
    assert first.value == perplexity(values)
    assert first.low < first.value < first.high
    assert estimate(values, perplexity, seed=8) != first


def test_rows_that_were_not_scored_are_left_out() -> None:
    found = estimate(column([1.0, math.nan, 0.0, 1.0]), mean, binary=True)
    assert (found.value, found.n) == (2 / 3, 3)
    nothing = estimate(column([math.nan]), mean)
    assert nothing.n == 0
    assert math.isnan(nothing.value)


def test_equal_scores_have_no_spread() -> None:
    assert estimate(column([0.5] * 9), mean) == Estimate(0.5, 0.5, 0.5, 9)


def test_mover_adds_squared_distances() -> None:
    parts = [Estimate(0.5, 0.4, 0.7, 10), Estimate(0.9, 0.6, 1.0, 30)]
    found = combine("mean", parts)
    assert found.value == pytest.approx(0.7)
    assert found.low == pytest.approx(0.7 - math.hypot(0.05, 0.15))
    assert found.high == pytest.approx(0.7 + math.hypot(0.1, 0.05))
    assert found.n == 40
    weighted = combine("mean", parts, [3, 1])
    assert weighted.value == pytest.approx(0.6)
    assert weighted.low == pytest.approx(0.6 - math.hypot(0.075, 0.075))


def test_min_and_max_take_the_bounds_of_the_parts() -> None:
    parts = [Estimate(0.5, 0.4, 0.7, 10), Estimate(0.6, 0.3, 0.65, 30)]
    assert combine("min", parts) == Estimate(0.5, 0.3, 0.65, 40)
    assert combine("max", parts) == Estimate(0.6, 0.4, 0.7, 40)


def test_a_soft_minimum_lies_between_minimum_and_mean() -> None:
    """Worked values of the shared specification, to its six digits."""
    values = (0.6, 0.4, 0.8)
    for temperature, expected in ((0.05, 0.454007), (1e-4, 0.400110), (10.0, 0.598667)):
        found = combine_values("soft_min", values, temperature=temperature)
        assert found == pytest.approx(expected, abs=1e-6)
    assert combine_values("soft_min", values) == combine_values("soft_min", values, None, 0.05)
    turned = [-value for value in values]
    assert combine_values("soft_max", turned) == -combine_values("soft_min", values)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5), st.integers(0, 4), st.floats(0, 0.5))
def test_a_soft_minimum_grows_with_each_part(values: list[float], at: int, more: float) -> None:
    larger = list(values)
    larger[at % len(values)] += more
    before, after = combine_values("soft_min", values), combine_values("soft_min", larger)
    assert min(values) - 1e-12 <= before <= sum(values) / len(values) + 1e-12
    assert after >= before - 1e-12


def test_the_interval_of_a_soft_minimum_is_that_of_its_weakest_part() -> None:
    weak, strong = Estimate(0.2, 0.1, 0.4, 10), Estimate(0.9, 0.3, 1.0, 10)
    found = combine("soft_min", [weak, strong], temperature=0.01)
    assert found.value - found.low == pytest.approx(0.1, rel=1e-6)
    assert found.high - found.value == pytest.approx(0.2, rel=1e-6)
    halves = combine("soft_min", [weak, weak])
    assert halves.value - halves.low == pytest.approx(math.hypot(0.05, 0.05))


def test_one_part_alone_stays_itself() -> None:
    part = Estimate(0.5, 0.4, 0.7, 10)
    for aggregate in AGGREGATES:
        if aggregate == "stability":
            continue  # says nothing of one part
        found = combine(aggregate, [part])
        assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.4, 0.7))


def test_a_missing_part_makes_the_whole_missing() -> None:
    assert math.isnan(combine("mean", [Estimate(0.5, 0.4, 0.7, 10), MISSING]).value)
    assert combine("min", []).n == 0


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0]])
def test_weights_that_do_not_fit_are_refused(weights: list[float]) -> None:
    parts = [Estimate(0.5, 0.4, 0.7, 10)] * 2
    with pytest.raises(EvaluationError, match="for 2 entries of 'from'"):
        combine("mean", parts, weights)


def test_unknown_aggregate_is_refused() -> None:
    with pytest.raises(EvaluationError, match="'median'; expected one of mean, min, max"):
        combine("median", [Estimate(0.5, 0.4, 0.7, 10)])


def test_a_stratified_bootstrap_draws_within_strata() -> None:
    values = np.array([[0.0, 5.0], [0.0, 7.0], [1.0, 2.0], [1.0, 3.0], [1.0, 4.0]])
    strata = values[:, 0].astype(np.intp)
    seen: list[list[float]] = []

    def first(chosen: np.ndarray) -> float:
        seen.append(sorted(chosen[:, 0].tolist()))
        return float(chosen[chosen[:, 0] == 0, 1].mean())

    assert bootstrap(values, first, strata=strata, samples=200) == (5.0, 7.0)
    assert all(labels == [0, 0, 1, 1, 1] for labels in seen)


def test_one_stratum_draws_as_none() -> None:
    values = column([0.1, 0.5, 0.7, 0.2])
    strata = np.zeros(4, dtype=np.intp)
    assert bootstrap(values, mean, strata=strata) == bootstrap(values, mean)


def test_a_resample_that_an_aggregate_cannot_take_is_left_out() -> None:
    def ratio(chosen: np.ndarray) -> float:
        return 1.0 / sum(chosen[:, 0].tolist())

    found = estimate(column([0.0, 1.0, 1.0]), ratio)
    assert found.value == 0.5
    assert (found.low, found.high) == pytest.approx((1 / 3, 1.0))


SCALES = [(0.5, 0.1), (0.2, 0.2), (0.4, 0.0)]
"""Of three parts over a panel; on the last one all of its models are equal."""


def test_a_stability_matches_the_worked_example() -> None:
    # z = (0.6-0.5)/0.1 = 1, (0.2-0.2)/0.2 = 0, (0.4-0.4)/1 = 0: mean 1/3, variance 2/9.
    found = combine_values("stability", [0.6, 0.2, 0.4], scales=SCALES)
    assert found == pytest.approx(1 - math.sqrt(2 / 9))
    assert math.isnan(combine_values("stability", [0.6, 0.2, 0.4])), "the panel isn't scored yet"


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.floats(-2, 2))
def test_a_stability_says_how_even_a_model_is_and_not_how_good(
    steps: list[float], better: float
) -> None:
    units = [(mean, spread or 1.0) for mean, spread in SCALES]
    at = [mean + step * unit for (mean, unit), step in zip(units, steps, strict=True)]
    moved = [mean + (step + better) * unit for (mean, unit), step in zip(units, steps, strict=True)]
    one = combine_values("stability", at, scales=SCALES)
    assert one <= 1
    assert combine_values("stability", moved, scales=SCALES) == pytest.approx(one, abs=1e-9)
    even = [mean + better * unit for mean, unit in units]
    assert combine_values("stability", even, scales=SCALES) == pytest.approx(1)


def test_a_stabilitys_interval_follows_its_slopes() -> None:
    parts = [Estimate(v, v - 0.02, v + 0.01, 50) for v in (0.6, 0.2, 0.4)]
    found = combine("stability", parts, scales=SCALES)
    deviation = math.sqrt(2 / 9)
    slopes = [-(2 / 3) / (3 * deviation) / 0.1, (1 / 3) / (3 * deviation) / 0.2]
    slopes.append((1 / 3) / (3 * deviation))
    for slope, index in zip(slopes, range(3), strict=True):
        nudged = [part.value for part in parts]
        nudged[index] += 1e-6
        moved = combine_values("stability", nudged, scales=SCALES)
        assert (moved - found.value) / 1e-6 == pytest.approx(slope, rel=1e-3)
    # The first falls most by its upper bound (0.01 away), the others by their lower ones.
    below = [slopes[0] * 0.01, slopes[1] * 0.02, slopes[2] * 0.02]
    assert found.low == pytest.approx(found.value - math.hypot(*below))
    even = [Estimate(mean, mean - 0.02, mean + 0.02, 50) for mean, _ in SCALES]
    found = combine("stability", even, scales=SCALES)
    assert found.low < found.value == found.high == 1
