"""The newest events and decisions of a run: how far it is, without reading all of it.

Events carry the counts and the best so far, so that only the last few are read, however long the
run is. Standard library alone.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.runs.events import Progress
from evomerge.runs.reading.accounting import Query

_SPEED_OVER = 100
_PAGE = 500
_ENDED = ("candidate_done", "candidate_failed")
_BEST = ("generation_done", "advanced")
_KINDS = (*_ENDED, *_BEST, "started", "stopped", "finished", "steered")


@dataclass(frozen=True)
class Tail:
    """What the newest events tell.

    Args:
        progress: The newest counts; None in a run that no driver has taken up.
        best: Objective → best value on the search split.
        hypervolume: Share of the ideal that the front covered there at the last generation's end,
            or when that was told last; None where the run has none.
        generations: Generations told.
        times: When the last driver's last candidates were done, newest first, seconds since 1970.
        started_s: When the last driver took the run up.
        stopped: The stop that nothing came after.
        finished: The newest ``finished`` event.
    """

    progress: Progress | None
    best: Mapping[str, float]
    hypervolume: float | None
    generations: int
    times: Sequence[float]
    started_s: float
    stopped: Mapping[str, Any] | None
    finished: Mapping[str, Any] | None


def _newest_events(query: Query, run_id: str) -> Iterator[tuple[str, Any, float]]:
    """Yield ``(kind, body, at_s)`` of the events that are looked at, newest first, as needed."""
    kinds = ", ".join(f"'{kind}'" for kind in _KINDS)
    before = 2**31 - 1
    while True:
        rows = query(
            f"SELECT sequence, kind, body, at_s FROM event WHERE run_id = :run "
            f"AND sequence < :before AND kind IN ({kinds}) ORDER BY sequence DESC LIMIT {_PAGE}",
            {"run": run_id, "before": before},
        )
        for _, kind, body, at_s in rows:
            yield kind, plain(body), at_s
        if len(rows) < _PAGE:
            return
        before = rows[-1][0]


def read_tail(query: Query, run_id: str, directions: Mapping[str, str]) -> Tail:
    """Read events, newest first, until nothing older can matter."""
    progress = stopped = finished = started_s = generations = hypervolume = None
    whole = False  # nothing older has a better value that still counts
    values: list[Mapping[str, float]] = []
    times: list[float] = []
    for kind, body, at_s in _newest_events(query, run_id):
        if kind == "steered":
            if body.get("best") is not None and not whole:
                values.append(body["best"])
                hypervolume, whole = body.get("hypervolume"), True
            continue
        if progress is None:
            progress = Progress(**body["progress"])
        if kind in _ENDED and started_s is None:
            times.append(at_s)
        if kind == "candidate_done" and not whole and body.get("feasible", True):
            values.append(body["objectives"])
        elif kind in _BEST and generations is None:
            if not whole:
                values.append(body["best"])
                hypervolume, whole = body.get("hypervolume"), True
            generations = 0 if body.get("ask") is None else body["ask"] + 1
        elif kind == "stopped" and started_s is None and stopped is None:
            stopped = body
        elif kind == "finished" and finished is None:
            finished = body
        elif kind == "started" and started_s is None:
            started_s = at_s
        if generations is not None and (started_s is not None or len(times) >= _SPEED_OVER):
            break
    return Tail(
        progress=progress,
        best=_best(values, directions),
        hypervolume=hypervolume,
        generations=generations or 0,
        times=times[:_SPEED_OVER],
        started_s=started_s or 0.0,
        stopped=stopped,
        finished=finished,
    )


def _best(values: Sequence[Mapping[str, float]], directions: Mapping[str, str]) -> dict[str, float]:
    """Return the best of each objective."""
    pick = {"maximize": max, "minimize": min}
    found = {name: [row[name] for row in values if name in row] for name in directions}
    return {name: pick[way](found[name]) for name, way in directions.items() if found[name]}


def speed_of(times: Sequence[float]) -> float | None:
    """Return candidates per second over ``times``, newest first; None before two of them."""
    if len(times) < 2 or times[0] <= times[-1]:
        return None
    return (len(times) - 1) / (times[0] - times[-1])


def latest_decisions(query: Query, run_id: str) -> dict[str, dict[str, Any]]:
    """Return kind → body of the newest stop, final and extension since the last ask or tell.

    A ``final`` that an extension came after doesn't count; ``made_s`` goes into the body.
    """
    found: dict[str, dict[str, Any]] = {}
    rows = query(
        f"SELECT kind, body, made_s FROM decision WHERE run_id = :run "
        f"ORDER BY sequence DESC LIMIT {_PAGE}",
        {"run": run_id},
    )
    for kind, body, made_s in rows:
        if kind in ("ask", "tell"):
            break
        if kind in ("stop", "extend") or (kind == "final" and "extend" not in found):
            found.setdefault(kind, plain(body) | {"made_s": made_s})
    return found


def plain(value: Any) -> Any:
    """Return a JSON column, which one database gives as text and another as values."""
    return json.loads(value) if isinstance(value, str) else value
