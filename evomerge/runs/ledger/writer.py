"""The writes that a run consists of, each one transaction.

A transaction holds all that belongs together; the event that tells of it goes in with it.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Table, bindparam, func, insert, select, update

from evomerge.errors import LedgerError
from evomerge.execution.protocol import WorkerState
from evomerge.runs.events import Event
from evomerge.runs.ledger import tables
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.drivers import fenced
from evomerge.runs.ledger.plain import (
    StoredRecipe,
    answer_rows,
    attempt_row,
    candidate_rows,
    estimate_rows,
    recipe_rows,
    reply_row,
    score_rows,
    worker_rows,
)
from evomerge.runs.ledger.records import Estimates
from evomerge.runs.ledger.rows import (
    AttemptRecord,
    Block,
    CandidateRow,
    FinishedAttempt,
    ReplyRow,
    RunRow,
)

# Built once: making a statement anew costs more than running it.
_INSERT = {table: insert(table) for table in tables.METADATA.tables.values()}
_LAST = {
    table: select(func.max(table.c.sequence)).where(table.c.run_id == bindparam("run"))
    for table in (tables.decision, tables.event, tables.request)
}
_DRIVER = tables.driver.c
_ENTER = (
    update(tables.driver)
    .where(_DRIVER.run_id == bindparam("run"), _DRIVER.epoch == bindparam("mine"))
    .values(writes=_DRIVER.writes + 1)
    .returning(_DRIVER.writes)
)
_WRITES = select(_DRIVER.writes).where(
    _DRIVER.run_id == bindparam("run"), _DRIVER.epoch == bindparam("mine")
)
_ATTEMPT = tables.attempt.c
_ATTEMPTS_OF = select(
    _ATTEMPT.candidate_id, _ATTEMPT.split, _ATTEMPT.number, _ATTEMPT.status
).where(
    _ATTEMPT.run_id == bindparam("run"),
    _ATTEMPT.candidate_id.in_(bindparam("names", expanding=True)),
)


class RunWriter:
    """Writes the rows of the run ``run_id``.

    Args:
        ledger: Where to.
        run_id: The run.
        epoch: What ``driving.claim`` gave this process: every transaction then holds the driver's
            row and raises ``FencedError`` where it is another's. None writes without.
    """

    def __init__(self, ledger: Ledger, run_id: str, epoch: int | None = None) -> None:
        self.ledger = ledger
        self.run_id = run_id
        self.epoch = epoch
        self._sequence: dict[Table, int] = {}
        self._open: Connection | None = None
        self._unsure: int | None = None

    @contextmanager
    def batch(self, name: str = "batch") -> Iterator[None]:
        """Put all writes of the block into one transaction, committed at its end.

        Raises:
            LedgerAwayError: Nothing was written, unless ``landed`` says that it was.
            FencedError: Another driver has taken the run over; nothing was written.
        """
        assert self._open is None, "batches don't nest"
        with self._write(name) as connection:
            self._open = connection
            try:
                yield
            finally:
                self._open = None

    def landed(self) -> bool:
        """Say if the write that ended in ``LedgerAwayError`` is in the ledger all the same.

        A connection that is lost during a commit leaves that open. Ask before writing it again.

        Raises:
            LedgerAwayError: The database is still away.
            FencedError: Another driver has taken the run over.
        """
        expected, self._unsure = self._unsure, None
        if expected is None:
            return False
        try:
            with self.ledger.read() as connection:
                mine = {"run": self.run_id, "mine": self.epoch}
                writes = connection.scalar(_WRITES, mine)
                if writes is None:
                    raise fenced(connection, self.run_id, self.epoch or 0)
        except BaseException:
            self._unsure = expected
            raise
        return bool(writes >= expected)

    def create(self, row: RunRow) -> None:
        """Insert the run itself."""
        values = dict(vars(row)) | {"starts": [list(start) for start in row.starts]}
        values["plugins"] = [list(plugin) for plugin in row.plugins]
        with self._write("run") as connection:
            connection.execute(_INSERT[tables.run], values)

    def add_ask(
        self,
        ask: int,
        candidates: Sequence[tuple[CandidateRow, StoredRecipe]],
        event: Event,
        *,
        n: int | None = None,
    ) -> None:
        """Store a whole ask, recipes included, and the decision to evaluate it.

        Args:
            ask: Its number.
            candidates: What was proposed.
            event: Tells of it.
            n: Candidates that were asked for; None for a generation.
        """
        ids = [row.candidate_id for row, _ in candidates]
        with self._write("ask") as connection:
            self._insert_candidates(connection, candidates)
            self._decide(connection, "ask", {"ask": ask, "candidates": ids, "n": n})
            self._tell_of(connection, event)

    def add_references(self, candidates: Sequence[tuple[CandidateRow, StoredRecipe]]) -> None:
        """Store reference candidates that aren't stored yet."""
        table = tables.candidate
        query = select(table.c.candidate_id).where(table.c.run_id == self.run_id)
        with self._write("references") as connection:
            known = set(connection.scalars(query))
            self._insert_candidates(
                connection, [item for item in candidates if item[0].candidate_id not in known]
            )

    def grant(self, leases: Sequence[tuple[str, str, int]]) -> None:
        """Store that attempts are handed out, before they are.

        Args:
            leases: ``(candidate, split, number)`` of each.
        """
        now = time.time()
        rows = [
            {
                "run_id": self.run_id,
                "candidate_id": candidate,
                "split": split,
                "number": number,
                "epoch": self.epoch or 0,
                "granted_s": now,
            }
            for candidate, split, number in leases
        ]
        if rows:
            with self._write("lease") as connection:
                connection.execute(_INSERT[tables.lease], rows)

    def add_attempt(
        self,
        record: AttemptRecord,
        blocks: Sequence[Block],
        estimates: Estimates,
        event: Event | None,
    ) -> bool:
        """Store a finished attempt with its scores; False where it came too late."""
        return self.add_attempts([FinishedAttempt(record, blocks, estimates, event)])[0]

    def add_attempts(self, items: Sequence[FinishedAttempt]) -> list[bool]:
        """Store finished attempts of different candidates, in this order.

        Returns:
            Of each, False where the ledger has this attempt already, or a good one of this
            candidate: the first commit wins, and nothing is stored of the late one.
        """
        names = list({item.record.candidate_id for item in items})
        with self._write("attempt") as connection:
            known = connection.execute(_ATTEMPTS_OF, {"run": self.run_id, "names": names}).all()
            there = {(row.candidate_id, row.split, row.number) for row in known}
            done = {(row.candidate_id, row.split) for row in known if row.status == "done"}
            late = [
                (x.record.candidate_id, x.record.split) in done
                or (x.record.candidate_id, x.record.split, x.record.number) in there
                for x in items
            ]
            fresh = [x for x, is_late in zip(items, late, strict=True) if not is_late]
            run_id = self.run_id
            for table, rows in (
                (tables.attempt, [attempt_row(run_id, x.record) for x in fresh]),
                (
                    tables.score_block,
                    [row for x in fresh for row in score_rows(run_id, x.record, x.blocks)],
                ),
                (
                    tables.answer_block,
                    [row for x in fresh for row in answer_rows(run_id, x.record, x.blocks)],
                ),
                (
                    tables.estimate,
                    [row for x in fresh for row in estimate_rows(run_id, x.record, x.estimates)],
                ),
            ):
                if rows:
                    connection.execute(_INSERT[table], rows)
            self._tell_of(connection, *(x.event for x in fresh if x.event is not None))
        return [not is_late for is_late in late]

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

    def store_workers(self, states: Sequence[WorkerState]) -> None:
        """Store what the workers do just now; those not named stay as they are."""
        if not states:
            return
        table = tables.worker
        names = [state.name for state in states]
        with self._write("workers") as connection:
            mine = (table.c.run_id == self.run_id) & table.c.worker.in_(names)
            connection.execute(table.delete().where(mine))
            connection.execute(_INSERT[table], worker_rows(self.run_id, states))

    def add_request(self, kind: str, body: Mapping[str, Any]) -> int:
        """Ask something of the run's driver, from any process; return its sequence number.

        Raises:
            LedgerError: There is no such run.
        """
        table = tables.request
        run = select(tables.run.c.run_id).where(tables.run.c.run_id == self.run_id)
        with self._write("request") as connection:
            # Several processes may ask at once; drivers never hold the run's own row.
            if connection.scalar(run.with_for_update()) is None:
                raise LedgerError(f"ledger {self.ledger.where} has no run {self.run_id}.")
            sequence = (connection.scalar(_LAST[table], {"run": self.run_id}) or 0) + 1
            row = {"run_id": self.run_id, "sequence": sequence, "kind": kind}
            connection.execute(_INSERT[table], row | {"body": dict(body), "made_s": time.time()})
        return sequence

    def add_reply(self, reply: ReplyRow) -> None:
        """Store that a model has begun to answer a talk, or what came of it; from any process."""
        with self._write("reply") as connection:
            connection.execute(_INSERT[tables.reply], reply_row(self.run_id, reply))

    @contextmanager
    def _write(self, name: str) -> Iterator[Connection]:
        """Give a connection in a write transaction; after an error sequences are read anew."""
        if self._open is not None:
            yield self._open
            return
        self._unsure = None
        try:
            with self.ledger.write(name) as connection:
                if self.epoch is not None:
                    self._unsure = self._enter(connection, self.epoch)
                yield connection
        except BaseException:
            self._sequence.clear()
            raise
        self._unsure = None

    def _enter(self, connection: Connection, epoch: int) -> int:
        """Hold the driver's row and count this transaction; return its number."""
        number = connection.scalar(_ENTER, {"run": self.run_id, "mine": epoch})
        if number is None:
            raise fenced(connection, self.run_id, epoch)
        return int(number)

    def _insert_candidates(
        self, connection: Connection, items: Sequence[tuple[CandidateRow, StoredRecipe]]
    ) -> None:
        if not items:
            return
        bodies = {row.recipe_hash: body for row, body in items}
        table = tables.recipe
        query = select(table.c.recipe_hash).where(
            table.c.run_id == self.run_id, table.c.recipe_hash.in_(bodies)
        )
        known = set(connection.scalars(query))
        fresh = {key: body for key, body in bodies.items() if key not in known}
        if fresh:
            connection.execute(_INSERT[table], recipe_rows(self.run_id, fresh))
        rows = candidate_rows(self.run_id, [row for row, _ in items])
        connection.execute(_INSERT[tables.candidate], rows)

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

    def _tell_of(self, connection: Connection, *events: Event) -> None:
        rows = [
            {
                "run_id": self.run_id,
                "sequence": self._next(connection, tables.event),
                "kind": event.kind,
                "body": event.to_dict(),
                "at_s": time.time(),
            }
            for event in events
        ]
        if rows:
            connection.execute(_INSERT[tables.event], rows)

    def _next(self, connection: Connection, table: Table) -> int:
        """Return the next sequence number; a second writer would be refused by the primary key."""
        if table not in self._sequence:
            self._sequence[table] = connection.scalar(_LAST[table], {"run": self.run_id}) or 0
        self._sequence[table] += 1
        return self._sequence[table]
