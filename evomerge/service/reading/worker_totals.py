"""What each worker of a run has done over all of it: attempts, failures, time by kind of work."""

from typing import Any

from sqlalchemy import func, select

from evomerge.runs.ledger import tables
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.reading.accounting import CUT_OFF, Spent

MOST = 500


def totals_of(records: RunRecords) -> list[dict[str, Any]]:
    """Return the workers that made most attempts, at most ``MOST``, as plain data."""
    row = tables.attempt.c
    sums = [func.sum(column) for column in (row.merge_s, row.score_s, row.tokenise_s)]
    query = (
        select(
            row.worker,
            row.status,
            row.failure_kind,
            func.count(),
            *sums,
            func.sum(row.wait_s),
            func.sum(row.busy_s),
        )
        .where(row.run_id == records.run_id)
        .group_by(row.worker, row.status, row.failure_kind)
    )
    found: dict[str, list[Any]] = {}
    with records.ledger.read() as connection:
        for worker, *values in connection.execute(query):
            found.setdefault(worker, []).append(values)
    totals = [_total(worker, groups) for worker, groups in found.items()]
    totals.sort(key=lambda item: (-item["attempts"], item["worker"]))
    return totals[:MOST]


def _total(worker: str, groups: list[Any]) -> dict[str, Any]:
    """Return what one worker did, from its attempts by status and reason of failure."""
    failures: dict[str, int] = {}
    for status, kind, n, *_ in groups:
        if status != "done":
            failures[kind or status] = failures.get(kind or status, 0) + n
    merge_s, score_s, tokenise_s, wait_s, busy_s = (
        sum(group[place] for group in groups) for place in range(3, 8)
    )
    spent = Spent(
        merge_s=merge_s,
        score_s=score_s,
        tokenise_s=tokenise_s,
        cut_off_s=sum(group[7] - sum(group[3:6]) for group in groups if group[1] in CUT_OFF),
        wait_s=wait_s,
        busy_s=busy_s,
    )
    all_s = busy_s + wait_s
    return {
        "worker": worker,
        "attempts": sum(group[2] for group in groups),
        "failed": sum(group[2] for group in groups if group[0] == "failed"),
        "lost": sum(group[2] for group in groups if group[0] == "lost"),
        "failures": dict(sorted(failures.items(), key=lambda item: (-item[1], item[0]))),
        "seconds": spent.parts(),
        "utilisation": busy_s / all_s if all_s > 0 else None,
    }
