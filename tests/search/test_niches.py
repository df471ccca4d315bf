"""Niches: competition for examples against values worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from evomerge.search.niches import attraction, coverage, fitness, leaver, sole_wins, wins

Array = NDArray[np.float64]
GOLDEN = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
scores = arrays(
    np.float64, st.tuples(st.integers(1, 5), st.integers(1, 7)), elements=st.floats(0, 1)
)


def test_the_golden_matrix() -> None:
    # z = (2, 1, 1), c = 1: f = (1/2 + 1, 1/2, 1)
    np.testing.assert_allclose(fitness(GOLDEN), [1.5, 0.5, 1.0])
    np.testing.assert_allclose(attraction(GOLDEN, 0), [0.0, 0.0, 1.0])
    np.testing.assert_allclose(attraction(GOLDEN, 1), [1.0, 0.0, 1.0])
    assert coverage(GOLDEN) == 1.0
    assert wins(GOLDEN).tolist() == (GOLDEN > 0).tolist()
    assert sole_wins(GOLDEN).tolist() == [
        [False, True, False],
        [False, False, False],
        [False, False, True],
    ]


def test_scores_between_0_and_1_have_the_best_one_as_capacity() -> None:
    s = np.array([[0.5, 0.2], [0.25, 0.0]])
    # c = (0.5, 0.2), z = (0.75, 0.2)
    np.testing.assert_allclose(fitness(s), [0.5 * 0.5 / 0.75 + 0.2, 0.25 * 0.5 / 0.75])
    np.testing.assert_allclose(attraction(s, 1), [0.25 * 0.5 / 0.75 + 0.2, 0.0])
    assert coverage(s) == pytest.approx(0.35)


@given(scores)
def test_all_that_is_there_is_eaten(s: Array) -> None:
    np.testing.assert_allclose(fitness(s).sum(), s.max(axis=0).sum(), atol=1e-12)


@given(scores)
def test_alpha_0_is_a_sum_of_scores(s: Array) -> None:
    binary = np.round(s)
    np.testing.assert_allclose(fitness(binary, alpha=0.0), binary.sum(axis=1))
    np.testing.assert_allclose(fitness(s, alpha=0.0), (s * s.max(axis=0)).sum(axis=1))


@given(scores, st.integers(0, 4))
def test_the_order_of_members_and_examples_does_not_matter(s: Array, first: int) -> None:
    first %= len(s)
    rows = np.random.default_rng(len(s)).permutation(len(s))
    columns = np.random.default_rng(s.shape[1]).permutation(s.shape[1])
    turned = s[rows][:, columns]
    np.testing.assert_allclose(fitness(turned), fitness(s)[rows], atol=1e-12)
    place = int(np.flatnonzero(rows == first)[0])
    np.testing.assert_allclose(attraction(turned, place), attraction(s, first)[rows], atol=1e-12)
    assert attraction(s, first)[first] == 0


def test_examples_that_nobody_solves_feed_nobody() -> None:
    zero = np.zeros((3, 4))
    assert fitness(zero).tolist() == [0.0, 0.0, 0.0]
    assert attraction(zero, 1).tolist() == [0.0, 0.0, 0.0]
    assert coverage(zero) == 0.0
    assert not wins(zero).any()


def test_an_example_without_a_score_is_lost() -> None:
    s = GOLDEN.copy()
    s[0, 0] = np.nan
    expected = GOLDEN.copy()
    expected[0, 0] = 0.0
    assert fitness(s).tolist() == fitness(expected).tolist()
    assert attraction(s, 0).tolist() == attraction(expected, 0).tolist()
    assert coverage(s) == coverage(expected)
    assert wins(s).tolist() == wins(expected).tolist()


def test_no_members_and_no_examples_cover_nothing() -> None:
    assert coverage(np.zeros((0, 3))) == coverage(np.zeros((2, 0))) == 0.0
    assert fitness(np.zeros((2, 0))).tolist() == [0.0, 0.0]


def test_who_leaves_misses_most_or_is_least_fit_or_oldest() -> None:
    assert leaver(GOLDEN, np.zeros(3)) == 1
    assert leaver(GOLDEN, np.array([0.1, 0.0, 0.0])) == 0
    assert leaver(GOLDEN, np.array([0.1, 0.0, 0.3])) == 2
    assert leaver(GOLDEN, np.full(3, 0.2)) == 1
    assert leaver(np.ones((4, 2)), np.zeros(4)) == 0
    # Without the infeasible first one, the second and third share nothing: f = (-, 1, 1)
    assert leaver(np.array([[1, 1], [1, 0], [0, 1]]), np.array([0.5, 0.5, 0.0])) == 0
