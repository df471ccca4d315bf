"""Fronts: golden volumes, constraint domination, knees, and a front that grows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.search.fronts import (
    FrontArchive,
    dominates,
    hypervolume,
    igd_plus,
    knee,
    least_contributor,
    non_dominated,
    pareto_ranks,
)

TWO = [(0.2, 0.9), (0.5, 0.6), (0.8, 0.3)]
NUMBER = st.integers(0, 4).map(float) | st.just(float("nan"))
RESULTS = st.integers(1, 4).flatmap(
    lambda k: st.lists(
        st.tuples(st.tuples(*[NUMBER] * k), st.sampled_from([0.0, 0.5, 1.0])),
        min_size=1,
        max_size=25,
    )
)


def beats(a: tuple[tuple[float, ...], float], b: tuple[tuple[float, ...], float]) -> bool:
    return a[1] < b[1] or (a[1] == b[1] and dominates(a[0], b[0]))


@given(RESULTS)
def test_a_front_holds_what_nothing_beats_and_grows_to_the_same(results: list) -> None:
    sound = [item for item in results if not np.isnan(item[0]).any()]
    expected = [
        not np.isnan(item[0]).any() and not any(beats(other, item) for other in sound)
        for item in results
    ]
    values, violations = [item[0] for item in results], [item[1] for item in results]
    assert non_dominated(values, violations).tolist() == expected
    archive: FrontArchive[int] = FrontArchive()
    for index, (value, violation) in enumerate(results):
        on_front = archive.add(value, index, violation=violation)
        assert on_front == (index in archive.items)
    assert sorted(archive.items) == np.flatnonzero(expected).tolist()
    assert len(archive) == len(archive.values)


@given(RESULTS)
def test_ranks_peel_front_after_front(results: list) -> None:
    values = np.array([item[0] for item in results])
    violations = np.array([item[1] for item in results])
    ranks = pareto_ranks(values, violations)
    assert set(ranks) == set(range(ranks.max() + 1))
    left = np.arange(len(values))
    while len(left) and not np.isnan(values[left]).any(axis=1).all():
        first = ranks[left] == ranks[left].min()
        front = non_dominated(values[left], violations[left])
        if (violations[left][front] == 0).all():
            assert first.tolist() == front.tolist()
        else:  # of infeasible ones only the violation counts
            assert (violations[left][first] == violations[left][front][0]).all()
        left = left[~first]


def test_volumes_and_distances_are_those_worked_out_by_hand() -> None:
    three = [(0.5, 0.5, 0.5), (0.8, 0.2, 0.4), (0.3, 0.7, 0.6)]
    assert hypervolume(TWO, (0, 0)).value == pytest.approx(0.45)
    assert hypervolume(three, (0, 0, 0)).value == pytest.approx(0.2)
    assert igd_plus([(0.4, 0.6), (0.7, 0.3)], TWO) == pytest.approx(1 / 6)
    assert igd_plus(TWO, TWO) == 0
    assert igd_plus([(float("nan"), 1.0)], TWO) == float("inf")


@given(st.permutations([*TWO, (0.2, 0.2), (0.9, -0.1), (float("nan"), 1.0)]))
def test_a_volume_takes_no_notice_of_order_dominated_points_and_those_below(points: list) -> None:
    assert hypervolume(points, (0, 0)).value == pytest.approx(0.45)


def test_a_volume_of_nothing_is_0() -> None:
    assert hypervolume(np.empty((0, 2)), (0, 0)).value == 0
    assert hypervolume([(1.0, -1.0)], (0, 0)).value == 0


def test_volumes_above_four_objectives_are_near_and_said_to_be() -> None:
    box = np.eye(5) * 0.5 + 0.5  # five boxes of 1 × 0.5⁴ that share a cube of 0.5⁵
    found = hypervolume(box, np.zeros(5))
    assert not found.exact
    assert found.value == pytest.approx(5 * 0.5**4 - 4 * 0.5**5, rel=1e-3)
    assert hypervolume(box[:, :4], np.zeros(4)).exact


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_the_knee_bends_furthest_whatever_the_units(scale: float) -> None:
    front = np.array([(1.0, 0.0), (0.9, 0.85), (0.5, 0.95), (0.0, 1.0)]) * [scale, 1]
    found = knee(front)
    assert (found.index, found.pronounced) == (1, True)
    assert found.height == pytest.approx(0.75 / 2)


def test_a_straight_or_hollow_front_has_no_knee_but_a_middle() -> None:
    straight = knee([(1.0, 0.0), (0.5, 0.5), (0.0, 1.0)])
    hollow = knee([(1.0, 0.0), (0.4, 0.4), (0.0, 1.0)])
    for found in (straight, hollow):
        assert (found.index, found.pronounced) == (1, False)


def test_the_knee_of_one_objective_is_the_best_and_of_one_point_itself() -> None:
    assert knee([(1.0,), (3.0,), (3.0,)]).index == 1
    assert not knee([(1.0,), (3.0,)]).pronounced
    assert knee([(1.0, 2.0)]).index == 0
    assert knee([(1.0, 2.0), (1.0, 2.0)]).index == 0


def test_an_objective_that_is_equal_everywhere_bends_nothing() -> None:
    front = [(1.0, 5.0, 0.0), (0.9, 5.0, 0.9), (0.0, 5.0, 1.0)]
    assert knee(front).index == 1


def test_of_equal_points_of_one_objective_the_last_adds_least() -> None:
    assert least_contributor([(0.5,), (0.5,), (0.5,)]) == 2
