"""A run that is followed: what is new in its ledger goes into its columns, a page at a time."""

import json
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Text, cast, func, literal, select

from evomerge.errors import ServiceError
from evomerge.execution.protocol import Failure
from evomerge.runs.ledger import tables
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.objectives import Objectives
from evomerge.runs.reading.accounting import Spent
from evomerge.service.reading.columns import SPLITS, Columns, EstimateRows
from evomerge.service.reading.stored import readable

WAIT_S = 2.0
"""Who comes while a run is read for the first time waits for so long, then is asked to come again:
threads that wait can answer nobody else."""
PAGE = 5_000
"""Attempts that are read in one short transaction."""
_NAMES = 500
_KINDS = ("ask", "extend", "final", "stop", "ban")
_COVER = ("generation_done", "advanced")  # what is finished tells of the validation split


class _Try(NamedTuple):
    """An attempt as the ledger has it."""

    attempt_id: int
    candidate_id: str
    split: str
    status: str
    kind: str | None
    message: str | None
    merge_s: float
    score_s: float
    tokenise_s: float
    wait_s: float
    busy_s: float
    devices: float
    finished_s: float

    @property
    def lost(self) -> bool:
        return self.status == "lost"

    @property
    def failure(self) -> Failure | None:
        return None if self.status == "done" else Failure(self.kind or "", self.message or "")


@dataclass(frozen=True)
class Covered:
    """The hypervolume at some time: a share of the ideal."""

    evaluated: int
    at_s: float
    value: float


class FollowedRun:
    """A run whose columns follow its ledger.

    Args:
        records: The run's rows.

    Attributes:
        row: The run as it was started.
        columns: Its candidates.
        budget: Candidates to evaluate in all, extensions included.
        final: Body of the decision that ended it, None before.
        spent: What its attempts took.
        covered: Its hypervolume over time, where it has one.
        version: Grows with whatever is new.

    Raises:
        LedgerError: The ledger has no such run, or one that this code can't read.
    """

    def __init__(self, records: RunRecords) -> None:
        self.row = records.run()
        self._records = records
        with readable(self.row.name):
            objectives = Objectives.from_plain(
                self.row.config["objectives"],
                self.row.tasks,
                self.row.config.get("constraints", ()),
                self.row.config["search"].get("measures"),
            )
            self.budget = int(self.row.config["search"]["budget"])
        self.columns = Columns(objectives)
        self.final: Mapping[str, Any] | None = None
        self.spent = Spent()
        self.covered: list[Covered] = []
        self.version = self._news = 0
        self._attempt = self._decision = self._event = self._n_attempts = 0
        self._stops: deque[Mapping[str, Any]] = deque()
        self._ahead: dict[str, Any] = {}
        self._lock = threading.Lock()

    @property
    def ledger(self) -> Ledger:
        """The ledger that is followed."""
        return self._records.ledger

    def refresh(self) -> None:
        """Take in what is new; what another thread is taking in already isn't waited for.

        Only the first time it is, for a while, so that nobody sees half a run.

        Raises:
            LedgerError: The ledger can't be read.
            ServiceError: 503: it is being read for the first time, which takes long.
        """
        if not self._lock.acquire(timeout=WAIT_S if self.version == 0 else 0):
            if self.version == 0:
                raise ServiceError(
                    503,
                    f"run {self.row.name!r} is long and is being read for the first time "
                    f"({self.columns.n} candidates so far). Ask again in some seconds.",
                )
            return
        try:
            if self.version == 0:
                self._read_ahead()
            while self._page():
                pass
            self.version = 1 + self._news
        finally:
            self._ahead.clear()
            self._lock.release()

    def _page(self) -> bool:
        """Take in one page; say if there may be more."""
        with self._records.ledger.read() as connection:
            # Decisions come first: an attempt's candidate was asked for before it.
            decisions = self._read_decisions(connection)
            self._add_candidates(connection, _asked(decisions))
            tries = self._read_tries(connection)
            self._add_candidates(connection, [item.candidate_id for item in tries])
            estimates = self._read_estimates(connection, tries)
            covered = self._read_covered(connection)
        for _, kind, body in decisions:
            self._decided(kind, body)
        self._tried(tries, estimates)
        self.covered += covered
        if decisions or tries or covered:
            self._news += 1
        return len(tries) == PAGE or len(decisions) == PAGE

    # -- reading ------------------------------------------------------------------------------

    def _read_decisions(self, connection: Connection) -> list[tuple[int, str, Any]]:
        c = tables.decision.c
        query = (
            select(c.sequence, c.kind, cast(c.body, Text))
            .where(c.run_id == self.row.run_id, c.sequence > self._decision, c.kind.in_(_KINDS))
            .order_by(c.sequence)
            .limit(PAGE)
        )
        found = [(row[0], row[1], json.loads(row[2])) for row in connection.execute(query)]
        if found:
            self._decision = found[-1][0]
        return found

    def _read_ahead(self) -> None:
        """Read all candidates at once: one by one by name takes ten times as long."""
        with self._records.ledger.read() as connection:
            rows = _all(connection, self._candidates())
        self._ahead = {row[0]: row for row in rows}

    def _candidates(self) -> Select[Any]:
        c = tables.candidate.c
        return select(
            c.candidate_id, c.ask, c.place, c.kind, c.origin, cast(c.parents, Text), c.recipe_hash
        ).where(c.run_id == self.row.run_id)

    def _add_candidates(self, connection: Connection, names: Iterable[str]) -> None:
        """Append the candidates of ``names`` that aren't known yet, in that order."""
        known = self.columns.rows
        fresh = list(dict.fromkeys(name for name in names if name not in known))
        found = {name: self._ahead[name] for name in fresh if name in self._ahead}
        missing = [name for name in fresh if name not in found]
        for start in range(0, len(missing), _NAMES):
            some = missing[start : start + _NAMES]
            query = self._candidates().where(tables.candidate.c.candidate_id.in_(some))
            found |= {row[0]: row for row in _all(connection, query)}
        self.columns.add([_candidate(found[name]) for name in fresh if name in found])

    def _read_tries(self, connection: Connection) -> list[_Try]:
        c = tables.attempt.c
        query = (
            select(
                c.attempt_id, c.candidate_id, c.split, c.status, c.failure_kind,
                c.failure_message, c.merge_s, c.score_s, c.tokenise_s, c.wait_s, c.busy_s,
                c.devices, c.finished_s,
            )
            .where(self._new_attempts())
            .order_by(c.attempt_id)
            .limit(PAGE)
        )  # fmt: skip
        return [_Try._make(row) for row in _all(connection, query)]

    def _new_attempts(self) -> Any:
        """The attempts that weren't read, found by number.

        The empty text keeps databases from taking the index that begins with the run, in which
        they would look at all attempts of the run each time.
        """
        c = tables.attempt.c
        return (c.run_id.concat(literal("")) == self.row.run_id) & (c.attempt_id > self._attempt)

    def _read_estimates(
        self, connection: Connection, tries: Sequence[_Try]
    ) -> dict[int, EstimateRows]:
        """Return attempt → its estimates, of the attempts that were scored."""
        if not any(item.status == "done" for item in tries):
            return {}
        a, e = tables.attempt.c, tables.estimate.c
        query = (
            select(a.attempt_id, e.task, e.metric, e.value, e.low, e.high, e.n)
            .select_from(
                tables.attempt.join(
                    tables.estimate,
                    (e.run_id == a.run_id)
                    & (e.candidate_id == a.candidate_id)
                    & (e.split == a.split),
                )
            )
            .where(self._new_attempts(), a.attempt_id <= tries[-1].attempt_id, a.status == "done")
        )
        found: dict[int, EstimateRows] = {}
        for number, *row in _all(connection, query):
            found.setdefault(number, []).append(row)
        return found

    def _read_covered(self, connection: Connection) -> list[Covered]:
        c = tables.event.c
        mine = c.run_id == self.row.run_id
        last = connection.scalar(select(func.max(c.sequence)).where(mine)) or 0
        if last == self._event:
            return []
        query = (
            select(cast(c.body, Text), c.at_s)
            .where(mine, c.sequence > self._event, c.sequence <= last, c.kind.in_(_COVER))
            .order_by(c.sequence)
        )
        # The newest one of any kind, so that what was looked at isn't looked at again.
        self._event = last
        found = []
        for text, at_s in _all(connection, query):
            body = json.loads(text)
            if (value := body.get("hypervolume")) is not None:
                found.append(Covered(body["progress"]["evaluated"], at_s, value))
        return found

    # -- taking in ----------------------------------------------------------------------------

    def _decided(self, kind: str, body: Mapping[str, Any]) -> None:
        if kind == "extend":
            self.budget, self.final = int(body["budget"]), None
        elif kind == "final":
            self.final = body
        elif kind == "stop":
            self._stops.append(body)
        elif kind == "ban" and "refused" not in body:
            self.columns.ban(body["candidate"], on=body["on"])

    def _tried(self, tries: Sequence[_Try], estimates: Mapping[int, EstimateRows]) -> None:
        columns = self.columns
        waiting: dict[str, list[_Try]] = {split: [] for split in SPLITS}
        for item in tries:
            self._forgive(waiting, estimates)
            self._attempt, self._n_attempts = item.attempt_id, self._n_attempts + 1
            self.spent = self.spent.plus(item)
            row = columns.rows[item.candidate_id]
            columns.attempts[row] += 1
            columns.device_s[row] += item.devices * item.busy_s
            if item.lost or item.split not in SPLITS:
                continue
            if item.status == "done":
                waiting[item.split].append(item)
                continue
            message = item.message or ""
            columns.splits[item.split].fail(row, item.kind or "", message, item.finished_s)
        self._score(waiting, estimates)
        self._forgive(waiting, estimates)

    def _score(
        self, waiting: Mapping[str, list[_Try]], estimates: Mapping[int, EstimateRows]
    ) -> None:
        """Fill in the scores of the attempts that wait for it, many at a time."""
        for split, tries in waiting.items():
            if tries:
                rows = [self.columns.rows[item.candidate_id] for item in tries]
                found = [estimates[item.attempt_id] for item in tries]
                self.columns.score(
                    split,
                    dict(zip(rows, found, strict=True)),
                    [item.finished_s for item in tries],
                )
                tries.clear()

    def _forgive(
        self, waiting: Mapping[str, list[_Try]], estimates: Mapping[int, EstimateRows]
    ) -> None:
        """Take back the failures that a stop between two attempts says are tried again."""
        while self._stops and self._n_attempts >= self._stops[0].get("after_attempts", 0):
            self._score(waiting, estimates)
            for name, split in self._stops.popleft().get("retry", ()):
                if name in self.columns.rows and split in SPLITS:
                    self.columns.splits[split].forgive(self.columns.rows[name])


def _all(connection: Connection, query: Select[Any]) -> list[tuple[Any, ...]]:
    """Return all rows as the driver's own tuples: numbers and texts only."""
    cursor = connection.execute(query).cursor
    assert cursor is not None
    return list(cursor.fetchall())


def _asked(decisions: Sequence[tuple[int, str, Any]]) -> Iterator[str]:
    """Yield the candidates that were asked for, in that order."""
    for _, kind, body in decisions:
        if kind == "ask":
            yield from body["candidates"]


def _candidate(row: Any) -> dict[str, Any]:
    name, ask, place, kind, origin, parents, recipe_hash = row
    return {
        "candidate_id": name,
        "ask": ask,
        "place": place,
        "kind": kind,
        "origin": origin,
        "parents": json.loads(parents),
        "recipe_hash": recipe_hash,
    }
