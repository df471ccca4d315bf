"""What a ledger must hold after chaos: every candidate once, and nothing that kills changed."""

import contextlib
import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import select

from evomerge.runs.ledger import tables
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords


def records_of(database: Path) -> RunRecords:
    """Return the rows of the only run in ``database``, for reading."""
    ledger = Ledger.open(f"sqlite:///{database}", read_only=True)
    with ledger.read() as connection:
        run_id = connection.scalars(select(tables.run.c.run_id)).one()
    return RunRecords(ledger, run_id)


def faults(database: Path, budget: int) -> list[str]:
    """Return what is wrong in a finished run: candidates lost, counted twice or failed."""
    records = records_of(database)
    with contextlib.closing(records.ledger):
        candidates = [row for row in records.candidates() if row.kind == "search"]
        names = [row.candidate_id for row in candidates]
        settled = Counter(
            (row.candidate_id, row.split) for row in records.attempts() if not row.lost
        )
        failed = [row for row in records.attempts() if row.failure is not None and not row.lost]
        asks = Counter(name for row in records.decisions("ask") for name in row.body["candidates"])
        tells = Counter(
            item[0] for row in records.decisions("tell") for item in row.body["results"]
        )
        finals = records.decisions("final")
        blocks = _blocks(records)
    evaluated = [name for name, split in settled if split == "search"]
    # A last generation that the budget cuts short is never told.
    untold = set(evaluated) - set(tells)
    last = {row.candidate_id for row in candidates if row.ask == max(r.ask for r in candidates)}
    wrong = [
        (len(evaluated) != budget, f"{len(evaluated)} results instead of {budget}"),
        (bool(failed), f"{len(failed)} failed: {failed[:1]}"),
        (bool(_twice(settled)), f"settled twice: {_twice(settled)}"),
        (set(asks) != set(names) or bool(_twice(asks)), "asks and candidates differ"),
        (not set(tells) <= set(evaluated) or bool(_twice(tells)), "tells and results differ"),
        (bool(untold - last), f"results that were never told: {sorted(untold - last)[:3]}"),
        (len(finals) != 1, f"{len(finals)} final decisions"),
        (set(blocks) != set(settled), "scores and results differ"),
        (len({blocks[key] for key in blocks if key[1] == "search"}) > 1, "blocks are missing"),
    ]
    return [message for is_wrong, message in wrong if is_wrong]


def picture(database: Path) -> dict[str, Any]:
    """Return all that must not depend on kills: candidates, scores, tells and the end."""
    records = records_of(database)
    with contextlib.closing(records.ledger):
        return {
            "candidates": records.candidates(),
            "scores": _scores(records),
            "estimates": {split: records.estimates(split) for split in ("search", "validation")},
            "decisions": [(d.kind, d.body) for d in records.decisions("ask", "tell", "final")],
        }


def lost_attempts(database: Path) -> int:
    """Return how many attempts ended with their worker or driver."""
    records = records_of(database)
    with contextlib.closing(records.ledger), records.ledger.read() as connection:
        leases = connection.execute(select(tables.lease.c.candidate_id)).all()
        done = connection.execute(
            select(tables.attempt.c.candidate_id).where(tables.attempt.c.status != "lost")
        ).all()
    return len(leases) - len(done)


def _blocks(records: RunRecords) -> Counter[tuple[str, str]]:
    """Return (candidate, split) → number of stored blocks."""
    table = tables.score_block
    with records.ledger.read() as connection:
        rows = connection.execute(select(table.c.candidate_id, table.c.split)).all()
    return Counter((row.candidate_id, row.split) for row in rows)


def _scores(records: RunRecords) -> dict[tuple[str, ...], str]:
    """Return each block's key → hash of its bytes; which attempt gave them doesn't count."""
    table = tables.score_block
    with records.ledger.read() as connection:
        rows = connection.execute(select(table)).all()
    return {
        (row.candidate_id, row.task, row.split, row.metric, str(row.block)): hashlib.sha256(
            row.data
        ).hexdigest()
        for row in rows
    }


def _twice(counts: Counter[Any]) -> list[Any]:
    return [key for key, count in counts.items() if count > 1]
