"""One run's rows in the ledger, read as plain types, by any process at any time. Free of torch."""

import json
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Integer, Select, Text, cast, select

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
    ReplyRow,
    RequestRow,
    RunRow,
)

T = TypeVar("T")

Estimates = Mapping[tuple[str, str], Estimate]
"""(task, metric) → estimate of one candidate on one split."""


class RunRecords:
    """The rows of the run ``run_id``."""

    def __init__(self, ledger: Ledger, run_id: str) -> None:
        self.ledger = ledger
        self.run_id = run_id

    def run(self) -> RunRow:
        """Return the run; plug-ins and tasks as a resume may have mended them.

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
        for mend in self.decisions("mend")[-1:]:
            values |= {"plugins": mend.body["plugins"], "tasks": mend.body["tasks"]}
        values["starts"] = tuple((label, genome) for label, genome in values["starts"])
        values["plugins"] = tuple((path, sha256) for path, sha256 in values["plugins"])
        return RunRow(**values)

    def candidates(self) -> list[CandidateRow]:
        """Return all candidates: references, then proposals in the order of asking."""
        c = tables.candidate.c
        query = (
            select(
                c.candidate_id, c.ask, c.place, c.kind, c.origin, c.recipe_hash,
                cast(c.parents, Text), cast(c.genome, Text),
            )
            .where(c.run_id == self.run_id)
        )  # fmt: skip
        # Sorted here: the database would move every genome about.
        rows = sorted(self._all(query), key=itemgetter(1, 2))
        parents = _decoded([row[6] for row in rows])
        genomes = _decoded([row[7] for row in rows])
        return [
            CandidateRow(name, ask, place, kind, origin, tuple(made_from), genome, recipe_hash)
            for (name, ask, place, kind, origin, recipe_hash, _, _), made_from, genome in zip(
                rows, parents, genomes, strict=True
            )
        ]

    def made_of(self, names: Sequence[str]) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Return candidate → (hash of its recipe, its parents) for those of ``names`` there are."""
        c = tables.candidate.c
        query = select(c.candidate_id, c.recipe_hash, c.parents).where(
            c.run_id == self.run_id, c.candidate_id.in_(names)
        )
        with self.ledger.read() as connection:
            return {row[0]: (row[1], tuple(row[2])) for row in connection.execute(query)}

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
        c = tables.attempt.c
        query = (
            select(
                c.attempt_id, c.candidate_id, c.split, c.number, c.merge_s, c.score_s, c.worker,
                c.numeric_class, cast(c.reused, Integer), c.finished_s, c.tokenise_s, c.wait_s,
                c.busy_s, c.devices, c.status, c.failure_kind, c.failure_message, c.failure_detail,
            )
            .where(c.run_id == self.run_id)
            .order_by(c.attempt_id)
        )  # fmt: skip
        return [_attempt(row) for row in self._all(query)]

    def panel(self) -> list[Estimates]:
        """Return what references have on the search split; see ``runs.objectives.Panel``."""
        c = tables.candidate.c
        query = select(c.candidate_id).where(c.run_id == self.run_id, c.kind == "reference")
        names = [row[0] for row in self._all(query)]
        found = self.estimates("search") if names else {}
        return [found[name] for name in names if name in found]

    def estimates(self, split: str) -> dict[str, Estimates]:
        """Return candidate → its estimates on ``split``."""
        c = tables.estimate.c
        query = select(c.candidate_id, c.task, c.metric, c.value, c.low, c.high, c.n).where(
            c.run_id == self.run_id, c.split == split
        )
        found: dict[str, dict[tuple[str, str], Estimate]] = {}
        keys: dict[tuple[str, str], tuple[str, str]] = {}
        for candidate, task, metric, value, low, high, n in self._all(query):
            key = keys.setdefault((task, metric), (task, metric))
            values = {"value": value, "low": low, "high": high, "n": n}
            found.setdefault(candidate, {})[key] = _filled(Estimate, values)
        return dict(found)

    def decisions(self, *kinds: str) -> list[DecisionRow]:
        """Return the decisions of the given kinds (all if none is given), in order."""
        c = tables.decision.c
        query = (
            select(c.sequence, c.kind, c.made_s, cast(c.body, Text))
            .where(c.run_id == self.run_id)
            .order_by(c.sequence)
        )
        if kinds:
            query = query.where(c.kind.in_(kinds))
        rows = self._all(query)
        bodies = _decoded([row[3] for row in rows])
        return [
            DecisionRow(sequence, kind, body, made_s)
            for (sequence, kind, made_s, _), body in zip(rows, bodies, strict=True)
        ]

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
            .order_by(c.epoch, c.granted_s)
        )
        return [LeaseRow(*row) for row in self._all(query)]

    def requests(self, *kinds: str, after: int = 0) -> list[RequestRow]:
        """Return what other processes stored of the given kinds (all if none is given), in order.

        Args:
            kinds: Kinds of requests.
            after: Only sequence numbers above this.
        """
        c = tables.request.c
        query = (
            select(c.sequence, c.kind, c.body, c.made_s)
            .where(c.run_id == self.run_id, c.sequence > after)
            .order_by(c.sequence)
        )
        if kinds:
            query = query.where(c.kind.in_(kinds))
        with self.ledger.read() as connection:
            return [RequestRow(*row) for row in connection.execute(query)]

    def replies(self, talks: Sequence[int] | None = None) -> list[ReplyRow]:
        """Return what models said, in the order of writing; to ``talks`` alone if given."""
        c = tables.reply.c
        query = (
            select(c.talk, c.model, c.state, c.text, c.facts, c.worker, c.at_s)
            .where(c.run_id == self.run_id)
            .order_by(c.reply_id)
        )
        if talks is not None:
            query = query.where(c.talk.in_(talks))
        with self.ledger.read() as connection:
            return [ReplyRow(*row) for row in connection.execute(query)]

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

    def _all(self, query: Select[Any]) -> list[tuple[Any, ...]]:
        """Return all rows of ``query`` as the driver's own tuples: numbers and texts only."""
        with self.ledger.read() as connection:
            cursor = connection.execute(query).cursor
            assert cursor is not None
            return list(cursor.fetchall())


_ATTEMPT = (
    "attempt_id", "candidate_id", "split", "number", "merge_s", "score_s", "worker",
    "numeric_class", "reused", "finished_s", "tokenise_s", "wait_s", "busy_s", "devices",
)  # fmt: skip


def _attempt(row: Sequence[Any]) -> AttemptRow:
    values = dict(zip(_ATTEMPT, row, strict=False))
    status, kind, message, detail = row[len(_ATTEMPT) :]
    values["failure"] = None if status == "done" else Failure(kind, message, detail or "")
    values["reused"] = bool(values["reused"])
    values["lost"] = status == "lost"
    return _filled(AttemptRow, values)


def _filled(kind: type[T], values: dict[str, Any]) -> T:
    """Return a frozen dataclass with ``values``, all its fields, in half of its own time.

    A resume makes hundreds of thousands of them.
    """
    made = object.__new__(kind)
    made.__dict__.update(values)
    return made


def _decoded(texts: Sequence[str | None]) -> list[Any]:
    """Return JSON texts as values; all at once, which takes half the time and shares keys."""
    found: list[Any] = json.loads(f"[{','.join(text or 'null' for text in texts)}]")
    return found
