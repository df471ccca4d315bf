"""Pareto fronts of utilities (larger is better): what isn't beaten, how much it covers, its knee.

The sorting and the volumes are moocore's. A point with NaN is compared with nothing and is on no
front; equal points are all on it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

EXACT_UP_TO = 4
"""Objectives up to which a hypervolume is exact; more take time exponential in their number."""
PRONOUNCED = 0.05
"""Height of a knee below which a front has none: it is as good as straight."""

Array = NDArray[np.float64]
T = TypeVar("T")


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """Say if ``a`` is at least as good as ``b`` everywhere and better somewhere."""
    return all(x >= y for x, y in zip(a, b, strict=True)) and any(
        x > y for x, y in zip(a, b, strict=True)
    )


def non_dominated(points: ArrayLike, violations: ArrayLike | None = None) -> NDArray[np.bool_]:
    """Say which points no other dominates.

    Args:
        points: Utilities, shape ``(n, k)``.
        violations: By how much each misses the constraints, shape ``(n,)``, 0 or more; None is 0.
            Feasible points beat all others; among those the smallest violation wins.

    Returns:
        Mask of shape ``(n,)``.

    Source: constraint domination of Deb et al. 2002, doi:10.1109/4235.996017.
    """
    values = np.asarray(points, dtype=np.float64)
    found = _known(values)
    if violations is not None:
        missed = np.asarray(violations, dtype=np.float64)
        if found.any():
            found &= missed == missed[found].min()
    if not found.any():
        return found
    if values.shape[1] == 1:
        found[found] = values[found, 0] == values[found, 0].max()
        return found
    import moocore

    found[found] = moocore.is_nondominated(values[found], maximise=True, keep_weakly=True)
    return found


def pareto_ranks(points: ArrayLike, violations: ArrayLike | None = None) -> NDArray[np.intp]:
    """Return the number of each point's front, shape ``(n,)``, 0 for the best one.

    Infeasible points come after all feasible ones, a rank for each violation; points with NaN last.

    Args:
        points: Utilities, shape ``(n, k)``.
        violations: As in ``non_dominated``.
    """
    values = np.asarray(points, dtype=np.float64)
    known = _known(values)
    missed = np.zeros(len(values)) if violations is None else np.asarray(violations, dtype=float)
    ranks = np.zeros(len(values), dtype=np.intp)
    after = 0
    for members in _groups(known, missed):
        if values.shape[1] == 1:
            _, found = np.unique(-values[members, 0], return_inverse=True)
        elif missed[members[0]] > 0:
            found = np.zeros(len(members), dtype=np.intp)
        else:
            import moocore

            found = np.asarray(moocore.pareto_rank(values[members], maximise=True), dtype=np.intp)
        ranks[members] = after + found
        after = int(ranks[members].max()) + 1
    ranks[~known] = after
    return ranks


def _known(values: Array) -> NDArray[np.bool_]:
    """Say which rows have no NaN."""
    return np.asarray(np.logical_not(np.isnan(values).any(axis=1)))


def _groups(known: NDArray[np.bool_], missed: Array) -> Iterator[NDArray[np.intp]]:
    """Yield the rows of equal violation, smallest first."""
    for violation in np.unique(missed[known]):
        yield np.flatnonzero(known & (missed == violation))


@dataclass(frozen=True)
class Volume:
    """A hypervolume.

    Args:
        value: The volume between reference point and front, a product of the objectives' units.
        exact: False where it is approximated (more than ``EXACT_UP_TO`` objectives).
    """

    value: float
    exact: bool


def hypervolume(points: ArrayLike, reference: ArrayLike) -> Volume:
    """Return the volume that ``points`` dominate above ``reference``.

    Points that aren't above it in all objectives, or have NaN, add nothing. The approximation is
    deterministic, good to some 1e-4 of the volume.

    Args:
        points: Utilities, shape ``(n, k)``.
        reference: The worst point that counts, shape ``(k,)``.
    """
    lowest = np.asarray(reference, dtype=np.float64)
    values = np.asarray(points, dtype=np.float64).reshape(-1, len(lowest))
    exact = len(lowest) <= EXACT_UP_TO
    values = values[(values > lowest).all(axis=1)]
    if not len(values):
        return Volume(0.0, exact)
    import moocore

    # Sorted, so that equal points give equal bits in whatever order they came.
    values = np.unique(values[non_dominated(values)], axis=0)
    measure = moocore.hypervolume if exact else moocore.hv_approx
    return Volume(float(measure(values, ref=lowest, maximise=True)), exact)


def least_contributor(points: ArrayLike) -> int:
    """Return the row of a front that adds least hypervolume; ends add the most.

    Each objective is scaled to the front's range. Of equal points the last one adds least.

    Args:
        points: Utilities, shape ``(n, k)``, without NaN.
    """
    values = np.asarray(points, dtype=np.float64)
    if values.shape[1] == 1:
        return len(values) - 1  # of one objective a front's points are equal
    ranges = np.ptp(values, axis=0)
    scaled = (values - values.min(axis=0)) / np.where(ranges > 0, ranges, 1.0)
    import moocore

    parts = moocore.hv_contributions(scaled, ref=np.full(values.shape[1], -1.0), maximise=True)
    return int(np.flatnonzero(parts <= parts.min() + 1e-12)[-1])


def igd_plus(points: ArrayLike, wanted: ArrayLike) -> float:
    """Return how far ``points`` stay behind the front ``wanted`` on average; 0 if nowhere.

    Args:
        points: Utilities, shape ``(n, k)``; rows with NaN are left out.
        wanted: The front to be reached, shape ``(m, k)``: the true one, or the best of all runs.

    Source: Ishibuchi et al. 2015, doi:10.1007/978-3-319-15892-1_8.
    """
    goal = np.asarray(wanted, dtype=np.float64)
    values = np.asarray(points, dtype=np.float64).reshape(-1, goal.shape[1])
    values = values[_known(values)]
    if not len(values):
        return float("inf")
    import moocore

    return float(moocore.igd_plus(values, ref=goal, maximise=True))


@dataclass(frozen=True)
class Knee:
    """The point of a front that gives up least.

    Args:
        index: Its row.
        height: How far it stands above the plane through the best of each objective, in ranges of
            the front; the mean over objectives.
        pronounced: The front bends there. If not, it is the point nearest to the ideal one.
    """

    index: int
    height: float
    pronounced: bool


def knee(front: ArrayLike) -> Knee:
    """Return the knee of a front of at least one point; the first of equal ones.

    Each objective is scaled to the front's own range, so units don't matter. With two objectives
    the height is that above the chord between the two ends (Das 1999). A straight or hollow front
    has no knee; the point nearest to the best of all objectives stands for it, which is never an
    end unless there are only ends.

    Args:
        front: Utilities, shape ``(n, k)``, without NaN.

    Source: Das 1999, doi:10.1007/BF01195985.
    """
    values = np.asarray(front, dtype=np.float64)
    best, worst = values.max(axis=0), values.min(axis=0)
    spread = best > worst
    if not spread.any():
        return Knee(0, 0.0, False)
    scaled = (values - worst)[:, spread] / (best - worst)[spread]
    heights = (scaled.sum(axis=1) - 1) / scaled.shape[1]
    # Equal heights may differ in their last bits.
    highest = int(np.flatnonzero(heights >= heights.max() - 1e-12)[0])
    if scaled.shape[1] == 1 or heights[highest] >= PRONOUNCED:
        return Knee(highest, float(heights[highest]), scaled.shape[1] > 1)
    distance = ((1 - scaled) ** 2).sum(axis=1)
    nearest = int(np.flatnonzero(distance <= distance.min() + 1e-12)[0])
    return Knee(nearest, float(heights[nearest]), False)


class FrontArchive(Generic[T]):
    """A front that grows result by result; what is beaten is forgotten.

    A new point costs a comparison with the front's points, however many came before.
    """

    def __init__(self) -> None:
        self._values = np.empty((0, 0))
        self._violation = 0.0
        self._items: list[T] = []

    def __len__(self) -> int:
        return len(self._items)

    @property
    def values(self) -> Array:
        """The front's utilities, shape ``(n, k)``, in order of arrival."""
        return self._values

    @property
    def items(self) -> Sequence[T]:
        """What came with each point."""
        return self._items

    @property
    def violation(self) -> float:
        """By how much all of the front misses the constraints; 0 as soon as a point keeps them."""
        return self._violation

    def add(self, values: Sequence[float], item: T, *, violation: float = 0.0) -> bool:
        """Take a result; say if it is on the front now.

        Args:
            values: Utilities, shape ``(k,)``.
            item: What is kept with it.
            violation: By how much it misses the constraints.
        """
        new = np.asarray(values, dtype=np.float64)
        if np.isnan(new).any():
            return False
        if not self._items or violation < self._violation:
            self._values, self._items, self._violation = new[None], [item], violation
            return True
        if violation > self._violation:
            return False
        behind = self._values <= new
        ahead = self._values >= new
        if (ahead.all(axis=1) & ~behind.all(axis=1)).any():
            return False
        beaten = behind.all(axis=1) & ~ahead.all(axis=1)
        if beaten.any():
            kept = np.flatnonzero(~beaten)
            self._values = self._values[kept]
            self._items = [self._items[i] for i in kept]
        self._values = np.concatenate([self._values, new[None]])
        self._items.append(item)
        return True
