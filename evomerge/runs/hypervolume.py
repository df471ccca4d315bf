"""How much of what could be reached a run's front covers: its hypervolume, as a share of the ideal.

Each objective is measured from its reference (a useless model's value) to its ideal. Both are
frozen when the run begins, so that shares of one run, whenever they are taken, can be compared.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.runs.ledger.records import Estimates
from evomerge.runs.objectives import Objectives
from evomerge.search.fronts import FrontArchive, Volume, hypervolume, non_dominated


class Cover:
    """The hypervolume of a front that grows result by result.

    Args:
        objectives: What is optimised; each has a reference and an ideal.
        points: Utilities of what is known already, shape ``(n, k)``.
    """

    def __init__(self, objectives: Objectives, points: Sequence[Sequence[float]] = ()) -> None:
        low = [item.utility(item.reference or 0.0) for item in objectives.all]
        high = [item.utility(item.ideal or 0.0) for item in objectives.all]
        self._low = np.array(low)
        self._width = np.array(high) - self._low
        self._front: FrontArchive[None] = FrontArchive()
        self._volume: Volume | None = None
        if len(points):
            values = np.asarray(points, dtype=np.float64)
            for row in values[non_dominated(values)]:
                self._front.add(row.tolist(), None)

    @classmethod
    def where_known(
        cls, objectives: Objectives, points: Iterable[Sequence[float]] = ()
    ) -> "Cover | None":
        """Return the cover of several objectives whose ends are all known, else None."""
        known = all(None not in (item.reference, item.ideal) for item in objectives.all)
        return cls(objectives, list(points)) if known and len(objectives.all) > 1 else None

    def add(self, utilities: Sequence[float]) -> None:
        """Take a result that keeps the constraints."""
        if self._front.add(utilities, None):
            self._volume = None

    @property
    def volume(self) -> Volume:
        """The share of the ideal, in [0, 1]; equal fronts give equal bits in whatever order."""
        if self._volume is None:
            values: NDArray[np.float64] = self._front.values.reshape(-1, len(self._low))
            scaled = np.minimum((values - self._low) / self._width, 1.0)
            self._volume = hypervolume(scaled, np.zeros(len(self._low)))
        return self._volume


def covered(objectives: Objectives, found: Sequence[Estimates]) -> float | None:
    """Return the share that candidates cover together; None where the run has no hypervolume.

    Args:
        objectives: What is optimised.
        found: Each candidate's estimates; one that misses a constraint covers nothing.
    """
    kept = (item for item in found if objectives.violation(item) == 0)
    cover = Cover.where_known(objectives, (objectives.utilities(item) for item in kept))
    return None if cover is None else cover.volume.value
