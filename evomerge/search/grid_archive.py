"""A grid archive: the best candidate of each cell of a grid over what models are like.

Source: Mouret and Clune 2015, arXiv:1504.04909. It keeps what pyribs' ``GridArchive`` keeps (a
test holds that), but takes genomes of any length and loads nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import SearchError

Cell = tuple[int, ...]
"""Number of the bin on each axis, from 0."""

EDGE = 1e-6
"""A measure this share of a bin below a border counts as on it, so that 0.3 of 10 bins is bin 3."""


@dataclass(frozen=True)
class Axis:
    """One measure, cut into bins of equal width.

    Args:
        name: Its name in the run file.
        low: Where the first bin begins; what lies below counts as in it.
        high: Where the last bin ends; what lies above counts as in it.
        bins: Their number.
    """

    name: str
    low: float
    high: float
    bins: int

    def bin(self, value: float) -> int:
        """Return the number of the bin that ``value`` lies in, 0 to ``bins - 1``."""
        place = (value - self.low) / (self.high - self.low) * self.bins + EDGE
        return min(max(math.floor(place), 0), self.bins - 1)


@dataclass(frozen=True)
class Elite:
    """A candidate that is the best of its cell.

    Args:
        id: The candidate.
        genome: Its encoding; None where only the archive is of interest.
        quality: Utility, larger is better.
        measures: One number an axis.
    """

    id: str
    genome: NDArray[np.float64] | None = field(compare=False, repr=False)
    quality: float
    measures: tuple[float, ...]


class GridArchive:
    """The best candidate of each cell that anyone came into; of equal ones the older.

    Args:
        axes: The measures.
    """

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.axes = tuple(axes)
        self.cells: dict[Cell, Elite] = {}

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def n_cells(self) -> int:
        """Number of cells that there are."""
        return math.prod(axis.bins for axis in self.axes)

    @property
    def elites(self) -> list[Elite]:
        """The elites, in the order of their cells."""
        return [self.cells[cell] for cell in sorted(self.cells)]

    def cell(self, measures: Sequence[float]) -> Cell:
        """Return the cell of a model with these measures."""
        return tuple(axis.bin(value) for axis, value in zip(self.axes, measures, strict=True))

    def add(self, elite: Elite) -> bool:
        """Let a candidate in if its cell is empty or its elite is worse; say if it was."""
        cell = self.cell(elite.measures)
        before = self.cells.get(cell)
        if before is not None and before.quality >= elite.quality:
            return False
        self.cells[cell] = elite
        return True


def need_axes(searcher: str, axes: Sequence[Axis]) -> None:
    """Refuse a search without measures.

    Raises:
        SearchError: There are none.
    """
    if not axes:
        raise SearchError(
            f"{searcher} keeps the best model of each kind, but search.measures doesn't say what "
            "kinds there are. Give one measure or more: {NAME: {from: EVALUATOR.METRIC, low: 0, "
            "high: 1}}."
        )
