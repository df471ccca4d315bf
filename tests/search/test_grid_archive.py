"""The grid archive keeps the best of each cell, as pyribs' does (test_cma_me.py)."""

import pytest

from evomerge.search.grid_archive import Axis, Elite, GridArchive

AXES = (Axis("odd", 0.0, 1.0, 10), Axis("size", -2.0, 6.0, 4))


def elite(name: str, quality: float, *measures: float) -> Elite:
    return Elite(name, None, quality, measures)


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
