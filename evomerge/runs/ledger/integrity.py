"""Whether a ledger holds together: every row that another one rests on is there and readable."""

import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from evomerge.errors import LedgerAwayError, LedgerError
from evomerge.runs.ledger import tables
from evomerge.runs.ledger.blocks import unpack_answers, unpack_scores
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.drivers import SERVICE

_CHUNK = 1000
_SHOWN = 5
"""Problems of one kind that are named; the rest is counted."""


@dataclass
class RunCheck:
    """One run's rows, counted.

    Args:
        run_id, name: The run.
        candidates: References included.
        attempts, failed, lost: Attempts; those of them that failed, and whose worker was lost.
        in_flight: Attempts handed out that have no result: at work, or gone with their driver.
        blocks: Rows of scores.
        decisions, events: Rows.
    """

    run_id: str
    name: str
    candidates: int = 0
    attempts: int = 0
    failed: int = 0
    lost: int = 0
    in_flight: int = 0
    blocks: int = 0
    decisions: int = 0
    events: int = 0


@dataclass
class LedgerCheck:
    """What was found.

    Args:
        ledger: The ledger, without secrets.
        schema: Its revision.
        runs: One entry a run.
        problems: One line each; none: it holds together.
    """

    ledger: str
    schema: str
    runs: list[RunCheck] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check_ledger(ledger: Ledger) -> LedgerCheck:
    """Read everything in ``ledger`` and return what is there and what is wrong.

    Raises:
        LedgerAwayError: It can't be reached.
    """
    found = LedgerCheck(ledger.where, ledger.revision() or "none")
    try:
        with ledger.read() as connection:
            if ledger.file is not None:
                _check_file(connection, found.problems)
            run = tables.run.c
            for run_id, name in connection.execute(
                select(run.run_id, run.name).order_by(run.started_s, run.run_id)
            ):
                found.runs.append(_RunChecker(connection, run_id, name).check(found.problems))
            _check_strays(connection, {item.run_id for item in found.runs}, found.problems)
    except LedgerAwayError:
        raise
    except LedgerError as error:
        found.problems.append(str(error))
    return found


def _check_file(connection: Connection, problems: list[str]) -> None:
    """Let SQLite look at its own pages and indexes."""
    lines = connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
    problems += [f"SQLite: {line}" for line in lines if line != "ok"]


def _check_strays(connection: Connection, runs: set[str], problems: list[str]) -> None:
    """Find rows of runs that the ledger doesn't have."""
    for table in tables.METADATA.sorted_tables:
        if table is tables.run or table in tables.OF_SERVICE:
            continue
        strays = set(connection.scalars(select(table.c.run_id).distinct())) - runs - {SERVICE}
        problems += [f"table {table.name} has rows of an unknown run {name}" for name in strays]


class _RunChecker:
    """Checks one run.

    Args:
        connection: In a read transaction.
        run_id, name: The run.
    """

    def __init__(self, connection: Connection, run_id: str, name: str) -> None:
        self._connection = connection
        self._found = RunCheck(run_id, name)
        self._problems: dict[str, list[str]] = defaultdict(list)
        self._done: set[tuple[str, str]] = set()
        self._known: set[str] = set()
        self._tried: set[str] = set()

    def check(self, problems: list[str]) -> RunCheck:
        """Return the counts; add what is wrong to ``problems``."""
        self._candidates()
        self._attempts()
        self._decisions()
        self._scores()
        self._answers()
        self._sequences()
        for kind, places in self._problems.items():
            shown = ", ".join(places[:_SHOWN])
            more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
            problems.append(f"run {self._found.name} ({self._found.run_id}): {kind}: {shown}{more}")
        return self._found

    def _candidates(self) -> None:
        c, r = tables.candidate.c, tables.recipe.c
        recipes = set(self._connection.scalars(select(r.recipe_hash).where(self._mine(r))))
        for name, recipe in self._rows(select(c.candidate_id, c.recipe_hash).where(self._mine(c))):
            self._known.add(name)
            if recipe not in recipes:
                self._problems["candidates without their recipe"].append(name)
        self._found.candidates = len(self._known)

    def _attempts(self) -> None:
        c, lease = tables.attempt.c, tables.lease.c
        keys = set()
        query = select(c.candidate_id, c.split, c.number, c.status).where(self._mine(c))
        for name, split, number, status in self._rows(query):
            keys.add((name, split, number))
            self._found.attempts += 1
            self._found.failed += status == "failed"
            self._found.lost += status == "lost"
            if status == "done":
                if (name, split) in self._done:
                    self._problems["candidates with two results"].append(f"{name} on {split}")
                self._done.add((name, split))
            if name not in self._known:
                self._problems["attempts at unknown candidates"].append(name)
        self._tried = {name for name, _, _ in keys}
        leases = select(lease.candidate_id, lease.split, lease.number).where(self._mine(lease))
        for name, split, number in self._rows(leases):
            if name not in self._known:
                self._problems["leases of unknown candidates"].append(name)
            self._found.in_flight += (name, split, number) not in keys

    def _decisions(self) -> None:
        c = tables.decision.c
        asked: set[str] = set()
        told: set[str] = set()
        query = select(c.sequence, c.kind, c.body).where(self._mine(c)).order_by(c.sequence)
        for sequence, kind, body in self._rows(query):
            self._found.decisions += 1
            if kind == "ask":
                names = list(body["candidates"])
                asked.update(names)
            elif kind == "tell":
                names = [result[0] for result in body["results"]]
                self._tell(sequence, names, asked, told)
            elif kind == "final":
                names = [body["best"], *body["front"], *body["finalists"]]
                missing = {body["best"], *body["front"]} - {
                    name for name, split in self._done if split == "validation"
                }
                self._note("final candidates without validation scores", missing)
            else:
                continue
            self._note(f"candidates that a decision ({kind}) names and nobody has", names, known=1)

    def _tell(self, sequence: int, names: list[str], asked: set[str], told: set[str]) -> None:
        place = f" (decision {sequence})"
        self._note("results told twice", [name + place for name in names if name in told])
        told.update(names)
        self._note("results told of what wasn't asked", set(names) - asked)
        self._note("results told of what was never tried", set(names) - self._tried)

    def _note(self, kind: str, names: set[str] | list[str], *, known: int = 0) -> None:
        bad = [name for name in names if not known or name not in self._known]
        if bad:
            self._problems[kind] += sorted(bad)

    def _scores(self) -> None:
        """Read every block of scores; what is done has blocks and estimates, and only that."""
        c, e = tables.score_block.c, tables.estimate.c
        scored: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
        sizes: dict[tuple[str, ...], int] = defaultdict(int)
        query = select(
            c.candidate_id, c.split, c.task, c.metric, c.block, c.n, c.width, c.data
        ).where(self._mine(c))
        for name, split, task, metric, block, n, width, data in self._rows(query):
            self._found.blocks += 1
            scored[name, split].add((task, metric))
            sizes[name, split, task, metric] += n
            try:
                unpack_scores(data, n, width)
            except (zlib.error, ValueError):
                place = f"{name} {split} {task}.{metric} block {block}"
                self._problems["scores that can't be read"].append(place)
        estimated = set()
        query = select(e.candidate_id, e.split, e.task, e.metric, e.n).where(self._mine(e))
        for name, split, task, metric, n in self._rows(query):
            estimated.add((name, split))
            if sizes[name, split, task, metric] < n:
                place = f"{name} {split} {task}.{metric}"
                self._problems["estimates of more examples than were scored"].append(place)
        for kind, there in (("scores", set(scored)), ("estimates", estimated)):
            lacking = [f"{name} on {split}" for name, split in self._done - there]
            self._note(f"finished attempts without {kind}", lacking)
            stray = [f"{name} on {split}" for name, split in there - self._done]
            self._note(f"{kind} without a finished attempt", stray)

    def _answers(self) -> None:
        c = tables.answer_block.c
        query = select(c.candidate_id, c.split, c.task, c.block, c.data).where(self._mine(c))
        for name, split, task, block, data in self._rows(query):
            try:
                unpack_answers(data)
            except (zlib.error, ValueError):
                place = f"{name} {split} {task} block {block}"
                self._problems["answers that can't be read"].append(place)

    def _sequences(self) -> None:
        """Decisions and events are numbered without gaps."""
        for table in (tables.decision, tables.event):
            c = table.c
            query = select(func.count(), func.max(c.sequence)).where(self._mine(c))
            count, last = self._connection.execute(query).one()
            if table is tables.event:
                self._found.events = count
            if count != (last or 0):
                gap = f"{count} up to number {last}"
                self._problems[f"gaps in the numbers of {table.name}s"].append(gap)

    def _mine(self, columns: Any) -> ColumnElement[bool]:
        mine: ColumnElement[bool] = columns.run_id == self._found.run_id
        return mine

    def _rows(self, query: Any) -> Iterator[Any]:
        """Yield rows as they come, so that a ledger of any size can be read."""
        return iter(self._connection.execute(query.execution_options(yield_per=_CHUNK)))
