"""An archive a task, in which the task is the quality and the other tasks are the measures.

Source: Kuroki et al. 2024, arXiv:2410.14735 (CycleQD).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evomerge.search.grid_archive import Axis, Elite, GridArchive

MARGIN = 0.15
"""How far an axis goes beyond the worst and the best of the first results, as a share of each."""


@dataclass(frozen=True)
class Result:
    """A candidate that came back.

    Args:
        id: The candidate.
        place: Number of its ask, and its place there.
        genome: Its encoding; None where only the archives are of interest.
        values: Utilities, shape ``(k,)``; None for what may never be an elite.
    """

    id: str
    place: tuple[int, int]
    genome: NDArray[np.float64] | None
    values: tuple[float, ...] | None


class CycledArchives:
    """``k`` archives, begun once all of the first candidates are back and one has values.

    Their axes go from 85 % of the worst to 115 % of the best of these. Where all of them fail, the
    next candidates that are asked for take their place.

    Args:
        names: The tasks.
        bins: Parts of each axis.
    """

    def __init__(self, names: Sequence[str], bins: int) -> None:
        self.grids: list[GridArchive] = []
        self._names = tuple(names)
        self._bins = bins
        self._first: set[str] = set()
        self._back: list[Result] = []

    def asked(self, names: Iterable[str]) -> None:
        """Take down what was asked for."""
        if not self.grids and not self._first:
            self._first = set(names)

    def told(self, result: Result) -> None:
        """Take a result, which joins when ``settle`` is called next."""
        self._back.append(result)
        self._first.discard(result.id)

    def settle(self) -> None:
        """Let in what is back, in the order of asking."""
        known = sorted((r for r in self._back if r.values is not None), key=lambda r: r.place)
        if not self.grids and (self._first or not known):
            return
        if not self.grids:
            self._begin([r.values for r in known if r.values is not None])
        self._back = []
        for result in known:
            values = result.values or ()
            for task, grid in enumerate(self.grids):
                measures = values[:task] + values[task + 1 :]
                grid.add(Elite(result.id, result.genome, values[task], measures))

    def living(self) -> list[str]:
        """Return the ids of all elites, and of what waits to join them."""
        found = {elite.id: None for grid in self.grids for elite in grid.elites}
        return [*found, *(result.id for result in self._back)]

    def _begin(self, values: Sequence[tuple[float, ...]]) -> None:
        axes = []
        for name, column in zip(self._names, np.array(values).T, strict=True):
            low, high = float(column.min()), float(column.max())
            low, high = low - MARGIN * abs(low), high + MARGIN * abs(high)
            if low >= high:
                low, high = low - 0.5, high + 0.5
            axes.append(Axis(name, low, high, self._bins))
        self.grids = [GridArchive(axes[:k] + axes[k + 1 :]) for k in range(len(axes))]
