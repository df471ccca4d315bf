"""One run's rows in the ledger, read as plain types, by any process at any time. Free of torch."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from evomerge.errors import LedgerError
from evomerge.evaluation.intervals import Estimate
from evomerge.execution.protocol import Failure, WorkerState
from evomerge.runs.ledger import tables
from evomerge.runs.ledger.blocks import unpack_answers, unpack_scores
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.rows import (
    AttemptRow,
    CandidateRow,
    DecisionRow,
    LeaseRow,
    RequestRow,
    RunRow,
)

Estimates = Mapping[tuple[str, str], Estimate]
"""(task, metric) → estimate of one candidate on one split."""


class RunRecords:
    """The rows of the run ``run_id``."""

    def __init__(self, ledger: Ledger, run_id: str) -> None:
        self.ledger = ledger
        self.run_id = run_id

    def run(self) -> RunRow:
        """Return the run.

        Raises:
            LedgerError: The ledger has no such run.
        """
        with self.ledger.read() as connection:
            row = connection.execute(
                select(tables.run).where(tables.run.c.run_id == self.run_id)
            ).one_or_none()
        if row is None:
            raise LedgerError(
                f"ledger {self.ledger.where} has no run {self.run_id}. Give the run's "
                "folder and "
                "the ledger that belong together."
            )
        values = dict(row._mapping)
        values["starts"] = tuple((label, genome) for label, genome in values["starts"])
        values["plugins"] = tuple((path, sha256) for path, sha256 in values["plugins"])
        return RunRow(**values)

    def candidates(self) -> list[CandidateRow]:
        """Return all candidates: references, then proposals in the order of asking."""
        table = tables.candidate
        query = (
            select(table).where(table.c.run_id == self.run_id).order_by(table.c.ask, table.c.place)
        )
        with self.ledger.read() as connection:
            rows = connection.execute(query).all()
        return [
            CandidateRow(
                candidate_id=row.candidate_id,
                ask=row.ask,
                place=row.place,
                kind=row.kind,
                origin=row.origin,
                parents=tuple(row.parents),
                genome=row.genome,
                recipe_hash=row.recipe_hash,
            )
            for row in rows
        ]

    def recipe(self, recipe_hash: str) -> dict[str, Any]:
        """Return the plain form of a stored recipe."""
        table = tables.recipe
        query = select(table.c.body).where(
            table.c.run_id == self.run_id, table.c.recipe_hash == recipe_hash
        )
        with self.ledger.read() as connection:
            body: dict[str, Any] = json.loads(connection.execute(query).scalar_one())
        return body

    def attempts(self) -> list[AttemptRow]:
        """Return all attempts in the order in which they were committed."""
        table = tables.attempt
        query = select(table).where(table.c.run_id == self.run_id).order_by(table.c.attempt_id)
        with self.ledger.read() as connection:
            rows = connection.execute(query).all()
        return [
            AttemptRow(
                attempt_id=row.attempt_id,
                candidate_id=row.candidate_id,
                split=row.split,
                number=row.number,
                failure=(
                    Failure(row.failure_kind, row.failure_message, row.failure_detail or "")
                    if row.status != "done"
                    else None
                ),
                merge_s=row.merge_s,
                score_s=row.score_s,
                worker=row.worker,
                numeric_class=row.numeric_class,
                reused=row.reused,
                finished_s=row.finished_s,
                tokenise_s=row.tokenise_s,
                wait_s=row.wait_s,
                busy_s=row.busy_s,
                devices=row.devices,
                lost=row.status == "lost",
            )
            for row in rows
        ]

    def estimates(self, split: str) -> dict[str, Estimates]:
        """Return candidate → its estimates on ``split``."""
        table = tables.estimate
        query = select(table).where(table.c.run_id == self.run_id, table.c.split == split)
        found: dict[str, dict[tuple[str, str], Estimate]] = {}
        with self.ledger.read() as connection:
            for row in connection.execute(query):
                found.setdefault(row.candidate_id, {})[row.task, row.metric] = Estimate(
                    value=row.value, low=row.low, high=row.high, n=row.n
                )
        return dict(found)

    def decisions(self, *kinds: str) -> list[DecisionRow]:
        """Return the decisions of the given kinds (all if none is given), in order."""
        table = tables.decision
        query = select(table).where(table.c.run_id == self.run_id).order_by(table.c.sequence)
        if kinds:
            query = query.where(table.c.kind.in_(kinds))
        with self.ledger.read() as connection:
            rows = connection.execute(query).all()
        return [DecisionRow(row.sequence, row.kind, row.body, row.made_s) for row in rows]

    def events(self, after: int = 0) -> list[tuple[int, str, dict[str, Any]]]:
        """Return ``(sequence, kind, fields)`` of the events after sequence number ``after``."""
        table = tables.event
        query = (
            select(table)
            .where(table.c.run_id == self.run_id, table.c.sequence > after)
            .order_by(table.c.sequence)
        )
        with self.ledger.read() as connection:
            return [(row.sequence, row.kind, row.body) for row in connection.execute(query)]

    def leases(self) -> list[LeaseRow]:
        """Return all attempts that were handed out, in that order."""
        c = tables.lease.c
        query = (
            select(c.candidate_id, c.split, c.number, c.epoch, c.granted_s)
            .where(c.run_id == self.run_id)
            .order_by(c.epoch, c.granted_s, c.candidate_id, c.split, c.number)
        )
        with self.ledger.read() as connection:
            return [LeaseRow(*row) for row in connection.execute(query)]

    def requests(self, after: int = 0) -> list[RequestRow]:
        """Return what other processes asked of the driver after sequence number ``after``."""
        c = tables.request.c
        query = (
            select(c.sequence, c.kind, c.body, c.made_s)
            .where(c.run_id == self.run_id, c.sequence > after)
            .order_by(c.sequence)
        )
        with self.ledger.read() as connection:
            return [RequestRow(*row) for row in connection.execute(query)]

    def workers(self) -> list[tuple[WorkerState, float]]:
        """Return the workers of the last driver by name, each with when it was stored."""
        table = tables.worker
        query = select(table).where(table.c.run_id == self.run_id).order_by(table.c.worker)
        with self.ledger.read() as connection:
            rows = connection.execute(query).all()
        found = []
        for row in rows:
            values = dict(row._mapping)
            del values["run_id"]
            stored_s = values.pop("beat_s")
            found.append((WorkerState(name=values.pop("worker"), **values), stored_s))
        return found

    def scores(self, candidate_id: str, split: str, task: str, metric: str) -> NDArray[np.float64]:
        """Return a candidate's values on a task, shape ``(n, width)``, in example order."""
        table = tables.score_block
        query = (
            select(table.c.data, table.c.n, table.c.width)
            .where(table.c.run_id == self.run_id, table.c.candidate_id == candidate_id)
            .where(table.c.split == split, table.c.task == task, table.c.metric == metric)
            .order_by(table.c.block)
        )
        with self.ledger.read() as connection:
            rows = connection.execute(query).all()
        blocks = [unpack_scores(row.data, row.n, row.width) for row in rows]
        return np.concatenate(blocks) if blocks else np.zeros((0, 1))

    def answers(self, candidate_id: str, split: str, task: str) -> list[str | None]:
        """Return a candidate's answers on a task in example order; empty where none were kept."""
        table = tables.answer_block
        query = (
            select(table.c.data)
            .where(table.c.run_id == self.run_id, table.c.candidate_id == candidate_id)
            .where(table.c.split == split, table.c.task == task)
            .order_by(table.c.block)
        )
        with self.ledger.read() as connection:
            rows = connection.scalars(query).all()
        return [answer for data in rows for answer in unpack_answers(data)]
