"""Who a candidate comes from, and what came of it."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from evomerge.service.reading.columns import STATES, Columns
from evomerge.service.reading.listing import objectives_of

MOST_NODES = 500


def lineage_of(
    columns: Columns, name: str, *, up: int, down: int, split: str = "search"
) -> dict[str, Any]:
    """Return a candidate's ancestors and descendants as nodes and edges, nearest first.

    Args:
        columns: The run's candidates.
        name: The candidate.
        up: Generations of ancestors.
        down: Generations of descendants.
        split: Whose scores are shown.
    """
    row = columns.rows[name]
    found = {row: 0}
    complete = _walk(columns, found, row, -1, up) & _walk(columns, found, row, 1, down)
    rows = sorted(found, key=lambda one: (abs(found[one]), found[one], one))
    shown = {columns.names[one] for one in rows}
    return {
        "candidate": name,
        "nodes": [_node(columns, split, one, found[one]) for one in rows],
        "edges": [
            {"parent": parent, "child": columns.names[one]}
            for one in rows
            for parent in columns.parents[one]
            if parent in shown
        ],
        "complete": complete,
    }


def _walk(columns: Columns, found: dict[int, int], start: int, sign: int, depth: int) -> bool:
    """Add relatives to ``found``, row → generations away; say if none was left out."""
    queue = deque([(start, 0)])
    complete = True
    while queue:
        row, distance = queue.popleft()
        relatives = [other for other in _relatives(columns, row, sign) if other not in found]
        if relatives and distance >= depth:
            complete = False
            continue
        for other in dict.fromkeys(relatives):
            if len(found) >= MOST_NODES:
                return False
            found[other] = sign * (distance + 1)
            queue.append((other, distance + 1))
    return complete


def _relatives(columns: Columns, row: int, sign: int) -> Sequence[int]:
    if sign < 0:
        return [columns.rows[name] for name in columns.parents[row] if name in columns.rows]
    n = columns.n
    return [other for other in list(columns.children.get(columns.names[row], ())) if other < n]


def _node(columns: Columns, split: str, row: int, generation: int) -> dict[str, Any]:
    return {
        "candidate": columns.names[row],
        "generation": generation,
        "origin": columns.origins[row],
        "parents": columns.parents[row],
        "status": STATES[int(columns.splits[split].state[row])],
        "objectives": objectives_of(columns, split, row),
    }
