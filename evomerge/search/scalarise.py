"""Several objectives as one number, so that a searcher of one objective can search them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evomerge.errors import SearchError
from evomerge.search.protocol import (
    Evaluation,
    Proposal,
    Restorable,
    Searcher,
    Start,
    inject,
    needs_measures,
)
from evomerge.search.snapshots import Snapshot

Kind = Literal["weighted", "chebyshev", "achievement"]
KINDS: tuple[Kind, ...] = ("weighted", "chebyshev", "achievement")
AUGMENT = 0.05
"""Share of the sum beside the worst objective: without it much may be lost for nothing."""

Array = NDArray[np.float64]


def scalarise(
    values: ArrayLike, kind: Kind, weights: ArrayLike, reference: ArrayLike, ranges: ArrayLike
) -> Array:
    """Return one number a point, larger is better, shape ``(n,)``.

    Each utility is taken as a distance from ``reference`` in units of ``ranges``. ``weighted`` adds
    the distances, and finds only points where the front bulges. The others take the worst of them,
    and a little of the sum, and find any point of the front: ``chebyshev`` as seen from the best of
    each objective, ``achievement`` from the point that is aspired to, which may be reached.

    Args:
        values: Utilities, shape ``(n, k)``.
        kind: ``weighted``, ``chebyshev`` or ``achievement``.
        weights: Importance of each objective, shape ``(k,)``, none below 0 and not all 0. An
            objective with 0 doesn't count.
        reference: Shape ``(k,)``.
        ranges: Shape ``(k,)``, all above 0.

    Source: Wierzbicki 1980, doi:10.1007/978-3-642-48782-8_32; Steuer and Choo 1983,
    doi:10.1007/BF02591870.
    """
    shares = np.asarray(weights, dtype=np.float64)
    shares = shares / shares.sum()
    distances = np.asarray(values, dtype=np.float64) - np.asarray(reference, dtype=np.float64)
    parts = shares * distances / np.asarray(ranges, dtype=np.float64)
    total: Array = parts.sum(axis=1)
    if kind == "weighted":
        return total
    worst: Array = parts[:, shares > 0].min(axis=1)
    return worst + AUGMENT * total


def measured(values: Array) -> tuple[Array, Array]:
    """Return the best and the range of each objective, both of shape ``(k,)``.

    An objective that is equal everywhere has its size for a range, or 1.

    Args:
        values: Utilities of the first ask, shape ``(n, k)``.
    """
    ranges = np.ptp(values, axis=0)
    sizes = np.abs(values).max(axis=0)
    return values.max(axis=0), np.where(ranges > 0, ranges, np.where(sizes > 0, sizes, 1.0))


class ScalarisedSearcher:
    """Lets a searcher of one objective search several: it is told one number a candidate.

    Utilities are scaled by the range that the first ask's candidates have, and ``chebyshev`` looks
    from the best that each objective has there. Both stay as they are from then on, so that all
    numbers a searcher has heard can be compared.

    Late results: what has a score waits until all of the first ask is back; afterwards everything
    goes on to the searcher as it comes, which does with it what it does with late results.

    Args:
        inner: The searcher, built for one objective.
        kind: ``weighted``, ``chebyshev`` or ``achievement``.
        weights: Importance of each objective, length ``k``; they needn't add up to 1.
        aspiration: (achievement) the utilities aspired to, length ``k``.
    """

    def __init__(
        self,
        inner: Searcher,
        *,
        kind: Kind,
        weights: Sequence[float],
        aspiration: Sequence[float] | None = None,
    ) -> None:
        self._inner = inner
        self.needs_measures = needs_measures(inner)
        self._kind: Kind = kind
        self._weights = np.array(weights, dtype=float)
        self._aspiration = None if aspiration is None else np.array(aspiration, dtype=float)
        self._waiting: set[str] = set()
        self._first: set[str] | None = None
        self._held: list[Evaluation] = []
        self._reference: Array | None = None
        self._ranges: Array | None = None

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return the searcher's proposals."""
        proposals = self._inner.ask(n)
        if self._first is None:
            self._first = {proposal.id for proposal in proposals}
        self._waiting.update(proposal.id for proposal in proposals)
        return proposals

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Take evaluations in any order; see "Late results" above.

        Raises:
            SearchError: An id that isn't waiting for a result.
        """
        told = list(evaluations)
        left = set(self._waiting)
        for item in told:
            if item.candidate_id not in left:
                raise SearchError(
                    f"candidate {item.candidate_id!r} is not waiting for a result. Tell each "
                    "candidate once."
                )
            left.remove(item.candidate_id)
        self._waiting = left
        passed = []
        for item in told:
            (self._first or set()).discard(item.candidate_id)
            sound = item.values is not None and bool(np.isfinite(item.values).all())
            if self._ranges is None and sound:
                self._held.append(item)
            else:
                passed.append(self._as_one(item) if sound else item)
        if self._ranges is None and self._held and not self._first:
            self._measure()
            passed += [self._as_one(item) for item in self._held]
            self._held = []
        if passed:
            self._inner.tell(passed)

    def inject(self, start: Start) -> None:
        """Have the searcher propose ``start`` at its next ask.

        Raises:
            SearchError: It takes nothing from outside.
        """
        inject(self._inner, start)

    def snapshot(self) -> Snapshot:
        """Return the state as plain data and arrays.

        Raises:
            SearchError: The searcher inside can't be stored.
        """
        if not isinstance(self._inner, Restorable):
            raise SearchError("the searcher under search.scalarise can't be stored.")
        inner = self._inner.snapshot()
        plain = {
            "waiting": sorted(self._waiting),
            "first": None if self._first is None else sorted(self._first),
            "held": [
                [e.candidate_id, list(e.values or ()), e.violation, e.measures] for e in self._held
            ],
            "reference": None if self._reference is None else self._reference.tolist(),
            "ranges": None if self._ranges is None else self._ranges.tolist(),
            "inner": dict(inner.plain),
        }
        return Snapshot(plain, inner.arrays)

    def restore(self, snapshot: Snapshot) -> None:
        """Take the state of a snapshot.

        Raises:
            SearchError: It can't be used.
        """
        plain: Any = snapshot.plain
        if not isinstance(self._inner, Restorable):
            raise SearchError("the searcher under search.scalarise can't be restored.")
        self._inner.restore(Snapshot(plain["inner"], snapshot.arrays))
        self._waiting = set(plain["waiting"])
        self._first = None if plain["first"] is None else set(plain["first"])
        self._held = [
            Evaluation(
                name,
                tuple(values),
                violation=violation,
                measures=None if measures is None else tuple(measures),
            )
            for name, values, violation, measures in plain["held"]
        ]
        known = plain["ranges"] is not None
        self._reference = np.array(plain["reference"]) if known else None
        self._ranges = np.array(plain["ranges"]) if known else None

    def _measure(self) -> None:
        """Take the scale from what is back."""
        best, self._ranges = measured(np.array([item.values for item in self._held]))
        self._reference = best if self._aspiration is None else self._aspiration

    def _as_one(self, item: Evaluation) -> Evaluation:
        assert self._reference is not None
        assert self._ranges is not None
        point = np.array([item.values])
        number = scalarise(point, self._kind, self._weights, self._reference, self._ranges)
        return replace(item, values=(float(number[0]),))
