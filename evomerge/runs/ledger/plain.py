"""A run's rows as the plain values that the database takes."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from evomerge.execution.protocol import WorkerState
from evomerge.runs.ledger.blocks import pack_answers, pack_scores
from evomerge.runs.ledger.records import Estimates
from evomerge.runs.ledger.rows import AttemptRecord, Block, CandidateRow, ReplyRow

StoredRecipe = Mapping[str, Any]
"""A recipe's plain form, as ``Recipe.to_dict`` gives it."""

Values = dict[str, Any]
"""Column → value of one row."""


def text_of(value: str, longest: int | None = None) -> str:
    """Return ``value`` as every database can hold it.

    What programs print may have null characters, which PostgreSQL refuses, or half characters,
    which have no UTF-8. PostgreSQL also holds columns to their length.
    """
    if "\0" in value or not value.isascii():
        value = value.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
    return value if longest is None or len(value) <= longest else value[: longest - 1] + "…"


def reply_row(run_id: str, reply: ReplyRow) -> Values:
    """Return what a model says now; models may write anything."""
    return {
        "run_id": run_id,
        "talk": reply.talk,
        "model": reply.model,
        "state": reply.state,
        "text": text_of(reply.text),
        "facts": dict(reply.facts),
        "worker": text_of(reply.worker, 255),
        "at_s": time.time(),
    }


def recipe_rows(run_id: str, bodies: Mapping[str, StoredRecipe]) -> list[Values]:
    """Return recipes by hash; keys keep their order, because that of the sources counts."""
    return [
        {
            "run_id": run_id,
            "recipe_hash": key,
            "body": json.dumps(body, separators=(",", ":"), allow_nan=False),
        }
        for key, body in bodies.items()
    ]


def candidate_rows(run_id: str, candidates: Sequence[CandidateRow]) -> list[Values]:
    """Return candidates."""
    return [
        dict(vars(row)) | {"run_id": run_id, "parents": list(row.parents)} for row in candidates
    ]


def attempt_row(run_id: str, record: AttemptRecord) -> Values:
    """Return an attempt that has just finished."""
    failure = record.failure
    return {
        "run_id": run_id,
        "candidate_id": record.candidate_id,
        "split": record.split,
        "number": record.number,
        "status": "lost" if record.lost else "failed" if failure else "done",
        "failure_kind": failure.kind if failure else None,
        "failure_message": text_of(failure.message) if failure else None,
        "failure_detail": text_of(failure.detail) if failure else None,
        "merge_s": record.merge_s,
        "score_s": record.score_s,
        "worker": text_of(record.worker, 255),
        "numeric_class": text_of(record.numeric_class, 255),
        "reused": record.reused,
        "notes": dict(record.notes),
        "tokenise_s": record.tokenise_s,
        "wait_s": record.wait_s,
        "busy_s": record.busy_s,
        "devices": record.devices,
        "finished_s": time.time(),
    }


def score_rows(run_id: str, record: AttemptRecord, blocks: Sequence[Block]) -> list[Values]:
    """Return an attempt's scores, one row a block and metric."""
    return [
        {
            "run_id": run_id,
            "candidate_id": record.candidate_id,
            "task": block.ref.task,
            "split": block.ref.split,
            "metric": metric,
            "block": block.ref.block,
            "n": values.shape[0],
            "width": values.shape[1],
            "data": pack_scores(values),
            "cache_key": block.cache_key,
            "attempt": record.number,
            "reused": block.reused,
        }
        for block in blocks
        for metric, values in block.values.items()
    ]


def answer_rows(run_id: str, record: AttemptRecord, blocks: Sequence[Block]) -> list[Values]:
    """Return an attempt's answers where they were kept, one row a block."""
    return [
        {
            "run_id": run_id,
            "candidate_id": record.candidate_id,
            "task": block.ref.task,
            "split": block.ref.split,
            "block": block.ref.block,
            "data": pack_answers(block.answers),
        }
        for block in blocks
        if block.answers is not None
    ]


def estimate_rows(run_id: str, record: AttemptRecord, estimates: Estimates) -> list[Values]:
    """Return an attempt's estimates."""
    return [
        {
            "run_id": run_id,
            "candidate_id": record.candidate_id,
            "split": record.split,
            "task": task,
            "metric": metric,
            "n": found.n,
            "value": found.value,
            "low": found.low,
            "high": found.high,
        }
        for (task, metric), found in estimates.items()
    ]


def worker_rows(run_id: str, states: Sequence[WorkerState]) -> list[Values]:
    """Return what workers do just now."""
    now = time.time()
    rows = []
    for state in states:
        values = dict(vars(state))
        name = values.pop("name")
        for key, longest in (("node", 255), ("device", 64), ("reason", None)):
            values[key] = text_of(values[key], longest)
        rows.append({"run_id": run_id, "worker": name, "beat_s": now, **values})
    return rows
