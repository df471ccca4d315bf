"""All candidates of a run as one table, made piece by piece: Arrow IPC or CSV."""

import csv
import io
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from evomerge.service.reading.columns import STATES, Columns, Indices

PIECE = 10_000
"""Rows that are made at a time."""
ARROW = "application/vnd.apache.arrow.stream"
PARTS = ("value", "low", "high")
CSV = "text/csv; charset=utf-8"


def pieces(columns: Columns, split: str, front: Indices) -> Iterator[dict[str, list[Any]]]:
    """Yield the table's columns, a piece of the rows at a time; one empty piece where it has none.

    Args:
        columns: The run's candidates.
        split: Whose scores.
        front: Rows of the front.
    """
    n = columns.n
    found = columns.splits[split]
    on_front = np.zeros(n, dtype=bool)
    on_front[front[front < n]] = True
    for start in range(0, max(n, 1), PIECE):
        stop = min(start + PIECE, n)
        rows = slice(start, stop)
        piece: dict[str, list[Any]] = {
            "candidate": columns.names[rows],
            "kind": columns.kinds[rows],
            "origin": columns.origins[rows],
            "recipe_hash": columns.recipes[rows],
            "status": [STATES[number] for number in found.state[rows]],
            "feasible": [None if v != v else v == 0 for v in found.violation[rows].tolist()],
            "on_front": on_front[rows].tolist(),
            "finished_s": _numbers(found.finished_s[rows]),
            "device_s": _numbers(columns.device_s[rows]),
        }
        for place, item in enumerate(columns.objectives.all):
            for part in PARTS:
                piece[_column(item.name, part)] = _numbers(getattr(found, part)[rows, place])
        yield piece


def arrow_stream(table: Iterator[dict[str, list[Any]]], objectives: list[str]) -> Iterator[bytes]:
    """Yield the table in Arrow's streaming format.

    Args:
        table: What ``pieces`` gives.
        objectives: Names of the objectives.
    """
    import pyarrow as pa  # takes a second to load

    texts = ("candidate", "kind", "origin", "recipe_hash", "status")
    fields = [pa.field(name, pa.string()) for name in texts]
    fields += [pa.field(name, pa.bool_()) for name in ("feasible", "on_front")]
    fields += [pa.field(name, pa.float64()) for name in ("finished_s", "device_s")]
    for name in objectives:
        fields += [pa.field(_column(name, part), pa.float64()) for part in PARTS]
    schema = pa.schema(fields)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        for piece in table:
            writer.write_batch(pa.RecordBatch.from_pydict(piece, schema=schema))
            yield _taken(sink)
    yield _taken(sink)


def csv_stream(table: Iterator[dict[str, list[Any]]]) -> Iterator[bytes]:
    """Yield the table as CSV with a line of names; what isn't there is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for index, piece in enumerate(table):
        if index == 0:
            writer.writerow(piece)
        writer.writerows(zip(*piece.values(), strict=True))
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()


def _column(objective: str, part: str) -> str:
    """Return the name of a column: with a prefix, since objectives may have any name."""
    return f"objective.{objective}" + ("" if part == "value" else f".{part}")


def _taken(sink: io.BytesIO) -> bytes:
    found = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return found


def _numbers(values: np.ndarray[Any, Any]) -> list[float | None]:
    """Return numbers; None for what isn't finite."""
    return [value if math.isfinite(value) else None for value in values.tolist()]
