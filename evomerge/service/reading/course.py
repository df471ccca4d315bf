"""The best so far of a run in a few points, for a line as small as a word."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, func, select, union_all

from evomerge.runs.ledger import tables
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.reading.newest import plain

POINTS = 24
_KINDS = ("generation_done", "advanced")
_MOST = 1_000


class Courses:
    """The courses of runs; what was read is read again only when a run has told more."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, dict[str, Any] | None]] = {}

    def of(self, records: RunRecords, directions: Mapping[str, str]) -> dict[str, Any] | None:
        """Return the course of a run's first objective; None before its first generation.

        Args:
            records: The run's rows.
            directions: Its objectives, in their order.
        """
        event = tables.event.c
        mine = event.run_id == records.run_id
        with records.ledger.read() as connection:
            last = connection.scalar(select(func.max(event.sequence)).where(mine)) or 0
            known = self._known.get(records.run_id)
            if known is not None and known[0] == last:
                return known[1]
            # Looking up a few places reads a few rows, however long the run is.
            places = sorted({last * step // POINTS for step in range(POINTS)})
            first = [_one(records.run_id).where(event.sequence >= place) for place in places]
            nearest = [query.order_by(event.sequence) for query in first]
            nearest.append(_one(records.run_id).order_by(event.sequence.desc()))
            found = connection.scalars(
                union_all(*(select(query.scalar_subquery()) for query in nearest))
            ).all()
            chosen = {sequence for sequence in found if sequence is not None}
            query = select(event.body).where(mine, event.sequence.in_(chosen))
            bodies = connection.scalars(query.order_by(event.sequence)).all()
        course = _course([plain(body) for body in bodies], next(iter(directions)))
        while len(self._known) >= _MOST:
            self._known.pop(next(iter(self._known)))
        self._known[records.run_id] = last, course
        return course


def _one(run_id: str) -> Select[tuple[int]]:
    """Return what finds one event that tells the best so far."""
    event = tables.event.c
    told = event.kind.in_(_KINDS)
    return select(event.sequence).where(event.run_id == run_id, told).limit(1)


def _course(bodies: list[Any], objective: str) -> dict[str, Any] | None:
    told = [body for body in bodies if objective in body["best"]]
    if not told:
        return None
    return {
        "objective": objective,
        "evaluated": [body["progress"]["evaluated"] for body in told],
        "value": [body["best"][objective] for body in told],
    }
