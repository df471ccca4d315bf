"""The writes that a run consists of, each one transaction.

A transaction holds all that belongs together; the event that tells of it goes in with it.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Table, bindparam, func, insert, select

from evomerge.runs.events import Event
from evomerge.runs.ledger import tables
from evomerge.runs.ledger.blocks import pack_answers, pack_scores
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import Estimates
from evomerge.runs.ledger.rows import AttemptRecord, Block, CandidateRow, RunRow

# Built once: making a statement anew costs more than running it.
_INSERT = {table: insert(table) for table in tables.METADATA.tables.values()}
_LAST = {
    table: select(func.max(table.c.sequence)).where(table.c.run_id == bindparam("run"))
    for table in (tables.decision, tables.event)
}

StoredRecipe = Mapping[str, Any]
"""A recipe's plain form, as ``Recipe.to_dict`` gives it."""


class RunWriter:
    """Writes the rows of the run ``run_id``; one process does so, under the run folder's lock."""

    def __init__(self, ledger: Ledger, run_id: str) -> None:
        self.ledger = ledger
        self.run_id = run_id
        self._sequence: dict[Table, int] = {}
        self._doubt: dict[Table, int] = {}
        self._open: Connection | None = None

    def create(self, row: RunRow) -> None:
        """Insert the run itself."""
        values = dict(vars(row)) | {"starts": [list(start) for start in row.starts]}
        values["plugins"] = [list(plugin) for plugin in row.plugins]
        with self._write("run") as connection:
            connection.execute(_INSERT[tables.run], values)

    def add_ask(
        self, ask: int, candidates: Sequence[tuple[CandidateRow, StoredRecipe]], event: Event
    ) -> None:
        """Store a whole generation, recipes included, and the decision to evaluate it."""
        ids = [row.candidate_id for row, _ in candidates]
        with self._write("ask") as connection:
            self._insert_candidates(connection, candidates)
            self._decide(connection, "ask", {"ask": ask, "candidates": ids})
            self._tell_of(connection, event)

    def add_references(self, candidates: Sequence[tuple[CandidateRow, StoredRecipe]]) -> None:
        """Store reference candidates that aren't stored yet."""
        with self._write("references") as connection:
            known = set(
                connection.scalars(
                    select(tables.candidate.c.candidate_id).where(
                        tables.candidate.c.run_id == self.run_id
                    )
                )
            )
            self._insert_candidates(
                connection, [item for item in candidates if item[0].candidate_id not in known]
            )

    def add_attempt(
        self,
        record: AttemptRecord,
        blocks: Sequence[Block],
        estimates: Estimates,
        event: Event | None,
    ) -> None:
        """Store a finished attempt with its scores; blocks that are stored already stay."""
        with self._write("attempt") as connection:
            self._insert_attempt(connection, record)
            self._insert_blocks(connection, record, blocks)
            self._insert_estimates(connection, record, estimates)
            if event is not None:
                self._tell_of(connection, event)

    def decide(self, kind: str, body: Mapping[str, Any], event: Event | None = None) -> None:
        """Store a decision."""
        with self._write(kind) as connection:
            self._decide(connection, kind, body)
            if event is not None:
                self._tell_of(connection, event)

    def tell_of(self, event: Event) -> None:
        """Store an event that no other write goes with."""
        with self._write("event") as connection:
            self._tell_of(connection, event)

    @contextmanager
    def together(self, name: str) -> Iterator[None]:
        """Make one transaction of all that is written inside the block."""
        with self._write(name) as connection:
            self._open = connection
            try:
                yield
            finally:
                self._open = None

    def was_committed(self) -> bool:
        """Say if the last write, which raised, went in all the same.

        A connection that breaks during the commit leaves that open. Only this driver writes
        decisions and events, so their last numbers tell; a write without either gives False.
        """
        if not self._doubt:
            return False
        with self.ledger.read() as connection:
            return all(
                connection.scalar(_LAST[table], {"run": self.run_id}) == last
                for table, last in self._doubt.items()
            )

    @contextmanager
    def _write(self, name: str) -> Iterator[Connection]:
        """Give a connection in a write transaction; after an error sequences are read anew."""
        if self._open is not None:
            yield self._open
            return
        before = dict(self._sequence)
        try:
            with self.ledger.write(name) as connection:
                yield connection
        except BaseException:
            self._doubt = {t: last for t, last in self._sequence.items() if last != before.get(t)}
            self._sequence.clear()
            raise

    def _insert_candidates(
        self, connection: Connection, items: Iterable[tuple[CandidateRow, StoredRecipe]]
    ) -> None:
        items = list(items)
        if not items:
            return
        bodies = {row.recipe_hash: body for row, body in items}
        table = tables.recipe
        known = set(
            connection.scalars(
                select(table.c.recipe_hash).where(
                    table.c.run_id == self.run_id, table.c.recipe_hash.in_(bodies)
                )
            )
        )
        recipes = [
            {"run_id": self.run_id, "recipe_hash": key, "body": _canonical(body)}
            for key, body in bodies.items()
            if key not in known
        ]
        if recipes:
            connection.execute(_INSERT[table], recipes)
        rows = [
            dict(vars(row)) | {"run_id": self.run_id, "parents": list(row.parents)}
            for row, _ in items
        ]
        connection.execute(_INSERT[tables.candidate], rows)

    def _insert_attempt(self, connection: Connection, record: AttemptRecord) -> None:
        failure = record.failure
        connection.execute(
            _INSERT[tables.attempt],
            {
                "run_id": self.run_id,
                "candidate_id": record.candidate_id,
                "split": record.split,
                "number": record.number,
                "status": "lost" if record.lost else "failed" if failure else "done",
                "failure_kind": failure.kind if failure else None,
                "failure_message": failure.message if failure else None,
                "failure_detail": failure.detail if failure else None,
                "merge_s": record.merge_s,
                "score_s": record.score_s,
                "worker": record.worker,
                "numeric_class": record.numeric_class,
                "reused": record.reused,
                "notes": dict(record.notes),
                "tokenise_s": record.tokenise_s,
                "wait_s": record.wait_s,
                "busy_s": record.busy_s,
                "devices": record.devices,
                "finished_s": time.time(),
            },
        )

    def _insert_blocks(
        self, connection: Connection, record: AttemptRecord, blocks: Sequence[Block]
    ) -> None:
        table = tables.score_block
        known: set[tuple[str, int]] = set()
        if record.number > 1:
            mine = (table.c.run_id == self.run_id) & (table.c.candidate_id == record.candidate_id)
            query = select(table.c.task, table.c.block).where(mine, table.c.split == record.split)
            known = {(row.task, row.block) for row in connection.execute(query)}
        fresh = [block for block in blocks if (block.ref.task, block.ref.block) not in known]
        place = {"run_id": self.run_id, "candidate_id": record.candidate_id}
        scores = [
            place
            | {
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
            for block in fresh
            for metric, values in block.values.items()
        ]
        answers = [
            place
            | {
                "task": block.ref.task,
                "split": block.ref.split,
                "block": block.ref.block,
                "data": pack_answers(block.answers),
            }
            for block in fresh
            if block.answers is not None
        ]
        for rows, target in ((scores, table), (answers, tables.answer_block)):
            if rows:
                connection.execute(_INSERT[target], rows)

    def _insert_estimates(
        self, connection: Connection, record: AttemptRecord, estimates: Estimates
    ) -> None:
        rows = [
            {
                "run_id": self.run_id,
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
        if rows:
            connection.execute(_INSERT[tables.estimate], rows)

    def _decide(self, connection: Connection, kind: str, body: Mapping[str, Any]) -> None:
        connection.execute(
            _INSERT[tables.decision],
            {
                "run_id": self.run_id,
                "sequence": self._next(connection, tables.decision),
                "kind": kind,
                "body": dict(body),
                "made_s": time.time(),
            },
        )

    def _tell_of(self, connection: Connection, event: Event) -> None:
        connection.execute(
            _INSERT[tables.event],
            {
                "run_id": self.run_id,
                "sequence": self._next(connection, tables.event),
                "kind": event.kind,
                "body": event.to_dict(),
                "at_s": time.time(),
            },
        )

    def _next(self, connection: Connection, table: Table) -> int:
        """Return the next sequence number; a second writer would be refused by the primary key."""
        if table not in self._sequence:
            self._sequence[table] = connection.scalar(_LAST[table], {"run": self.run_id}) or 0
        self._sequence[table] += 1
        return self._sequence[table]


def _canonical(body: StoredRecipe) -> str:
    """Return ``body`` as JSON; keys keep their order, because that of the sources counts."""
    return json.dumps(body, separators=(",", ":"), allow_nan=False)
