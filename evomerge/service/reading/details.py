"""All that is known of one candidate, read by its keys alone however long the run is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Text, cast, select, text

from evomerge.errors import ServiceError, nearest
from evomerge.recipes.drawing import Drawing
from evomerge.runs.ledger import tables
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.reading.accounting import cost
from evomerge.runs.reading.remarks import Remark, read_remarks, remark_on
from evomerge.runs.reading.route import depth_of, route_of
from evomerge.service.reading.coefficients import coefficients_of, has_segments
from evomerge.service.reading.columns import FAILED, SPLITS, Columns
from evomerge.service.reading.flat_layout import base_tensors
from evomerge.service.reading.follow import FollowedRun
from evomerge.service.reading.listing import candidate_item, objectives_of
from evomerge.service.reading.stored import readable

_FEW = 30


def row_of(columns: Columns, name: str) -> int:
    """Return the row of a candidate.

    Raises:
        ServiceError: 404: there is none.
    """
    row = columns.rows.get(name)
    if row is None or row >= columns.n:
        few = columns.n < _FEW
        hint = nearest(name, columns.names) if few else f"It has {columns.n} of them."
        raise ServiceError(404, f"this run has no candidate {name!r}; {hint}")
    return row


def details_of(run: FollowedRun, records: RunRecords, name: str) -> dict[str, Any]:
    """Return a candidate as plain data.

    Raises:
        ServiceError: 404: there is none.
    """
    columns = run.columns
    row = row_of(columns, name)
    with records.ledger.read() as connection:
        genome, recipe = _genome_and_recipe(connection, records.run_id, name)
        tasks = _tasks(connection, records.run_id, name)
        tries = _tries(connection, records.run_id, name)
        remark = read_remark(connection, records.run_id, name)
    with readable(run.row.name, f"the recipe of {name}"):
        drawing = route_of(recipe)
        tensors = base_tensors(recipe) if has_segments(recipe) else ()
        coefficients = coefficients_of(recipe, _base_depth(recipe), tensors)
    price = run.row.config.get("execution", {}).get("cost_per_device_hour")
    device_s = float(columns.device_s[row])
    n = columns.n
    children = [columns.names[i] for i in list(columns.children.get(name, ())) if i < n]
    return candidate_item(columns, "search", row) | {
        "objectives": {
            split: found for split in SPLITS if (found := objectives_of(columns, split, row))
        },
        "tasks": tasks,
        "failures": _failures(columns, row),
        "children": children[:_FEW],
        "n_children": len(children),
        "genome": genome,
        "recipe": recipe,
        "coefficients": coefficients,
        "route": None if drawing is None else _route(drawing),
        "tries": tries,
        "cost": cost(device_s, price),
        "remark": asdict(remark),
    }


def read_remark(connection: Connection, run_id: str, name: str) -> Remark:
    """Return what users have said of a candidate."""
    return remark_on(read_all_remarks(connection, run_id), name)


def read_all_remarks(connection: Connection, run_id: str) -> dict[str, Remark]:
    """Return candidate → what users have said of it."""

    def query(sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in connection.execute(text(sql), values)]

    return read_remarks(query, run_id)


def recipe_of(records: RunRecords, name: str) -> dict[str, Any]:
    """Return the stored recipe of a candidate that there is."""
    with records.ledger.read() as connection:
        found: dict[str, Any] = _genome_and_recipe(connection, records.run_id, name)[1]
        return found


def _genome_and_recipe(connection: Connection, run_id: str, name: str) -> tuple[Any, Any]:
    c, r = tables.candidate.c, tables.recipe.c
    query = (
        select(cast(c.genome, Text), r.body)
        .select_from(
            tables.candidate.join(
                tables.recipe, (r.run_id == c.run_id) & (r.recipe_hash == c.recipe_hash)
            )
        )
        .where(c.run_id == run_id, c.candidate_id == name)
    )
    genome, body = connection.execute(query).one()
    return json.loads(genome or "null"), json.loads(body)


def _tasks(connection: Connection, run_id: str, name: str) -> dict[str, Any]:
    """Return split → task → metric → estimate."""
    c = tables.estimate.c
    query = select(c.split, c.task, c.metric, c.value, c.low, c.high, c.n).where(
        c.run_id == run_id, c.candidate_id == name
    )
    found: dict[str, Any] = {}
    for split, task, metric, value, low, high, n in connection.execute(query):
        number = {"value": value, "low": low, "high": high, "n": n}
        found.setdefault(split, {}).setdefault(task, {})[metric] = number
    return found


def _tries(connection: Connection, run_id: str, name: str) -> list[dict[str, Any]]:
    c = tables.attempt.c
    query = (
        select(
            c.split, c.number, c.status, c.failure_kind, c.failure_message, c.failure_detail,
            c.merge_s, c.score_s, c.tokenise_s, c.wait_s, c.busy_s, c.devices, c.worker,
            c.numeric_class, c.finished_s,
        )
        .where(c.run_id == run_id, c.candidate_id == name)
        .order_by(c.attempt_id)
    )  # fmt: skip
    return [dict(row._mapping) for row in connection.execute(query)]


def _failures(columns: Columns, row: int) -> dict[str, Any]:
    found = {}
    for split, of in columns.splits.items():
        failure = of.failures.get(row) if of.state[row] == FAILED else None
        if failure is not None:
            found[split] = {"kind": failure[0], "message": failure[1]}
    return found


def _base_depth(recipe: Mapping[str, Any]) -> int | None:
    source = recipe.get("sources", {}).get(recipe.get("base"))
    return None if source is None else depth_of(source["path"], source.get("revision"))


def _route(drawing: Drawing) -> dict[str, Any]:
    """Return a route as lanes, one a source, and the runs of layers that lead through them."""
    lanes: Sequence[dict[str, Any]] = [
        {
            "letter": lane.letter,
            "name": lane.name,
            "note": lane.note,
            "depth": lane.depth,
            "counts": lane.counts,
        }
        for lane in drawing.lanes
    ]
    runs = [
        {
            "lane": run.lane.letter,
            "start": run.start,
            "stop": run.stop,
            "scale": run.scale,
            "qk": run.qk,
            "write": run.write,
            "times": run.times,
        }
        for run in drawing.runs
    ]
    return {
        "title": drawing.title(),
        "sentence": drawing.sentence(),
        "lanes": lanes,
        "runs": runs,
        "embedding": drawing.embedding.letter,
        "norm": drawing.norm.letter,
        "head": drawing.head.letter,
    }
