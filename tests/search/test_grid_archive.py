"""The grid archive keeps the best of each cell, as pyribs' does."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.search.grid_archive import Axis, Elite, GridArchive

os.environ.setdefault("NUMBA_DISABLE_JIT", "1")  # compiling pyribs takes longer than these tests

AXES = (Axis("odd", 0.0, 1.0, 10), Axis("size", -2.0, 6.0, 4))
points = st.lists(
    st.tuples(
        st.sampled_from([-1.0, 0.0, 0.25, 0.5, 2.0]),  # equal qualities are what is delicate
        st.floats(-0.5, 1.5),
        st.floats(-4, 8),
    ),
    max_size=30,
)


def elite(name: str, quality: float, *measures: float) -> Elite:
    return Elite(name, None, quality, measures)


@given(points)
def test_the_same_stay_as_in_pyribs(found: list[tuple[float, float, float]]) -> None:
    archives = pytest.importorskip("ribs.archives")
    theirs = archives.GridArchive(
        solution_dim=1,
        dims=[axis.bins for axis in AXES],
        ranges=[(axis.low, axis.high) for axis in AXES],
    )
    ours = GridArchive(AXES)
    for number, (quality, *measures) in enumerate(found):
        added = theirs.add_single(np.array([number]), quality, np.array(measures))
        assert ours.add(elite(str(number), quality, *measures)) == bool(added["status"])
    kept = sorted(int(number) for number in theirs.data("solution")[:, 0])
    assert sorted(int(item.id) for item in ours.elites) == kept


@pytest.mark.parametrize(
    ("value", "expected"), [(-9, 0), (0, 0), (0.0999, 0), (0.1, 1), (0.3, 3), (1, 9), (7, 9)]
)
def test_what_lies_outside_counts_as_in_the_border_cell(value: float, expected: int) -> None:
    assert AXES[0].bin(value) == expected


def test_of_equal_ones_the_older_stays() -> None:
    archive = GridArchive(AXES)
    assert archive.add(elite("old", 0.5, 0.11, 0.0))
    assert not archive.add(elite("new", 0.5, 0.12, 0.1))
    assert archive.add(elite("better", 0.6, 0.19, 1.9))
    assert [item.id for item in archive.elites] == ["better"]
    assert (len(archive), archive.n_cells) == (1, 40)
