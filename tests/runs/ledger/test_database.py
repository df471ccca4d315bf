import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from evomerge.errors import LedgerError
from evomerge.execution.protocol import BlockRef, Failure
from evomerge.runs.events import Asked
from evomerge.runs.ledger.database import Ledger, parse_ledger_url
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import AttemptRecord, Block
from evomerge.runs.ledger.tables import KNOWN_REVISIONS, METADATA, REVISION
from evomerge.runs.ledger.writer import RunWriter
from tests.runs.fakes import FakeRun


def open_ledger(folder: Path, **options: bool) -> Ledger:
    return Ledger.open(f"sqlite:///{folder}/ledger.db", **options)


def block(value: float, *, number: int = 0, key: str = "k") -> Block:
    values = {"hit": np.full((2, 1), value)}
    return Block(BlockRef("near", "search", number), key * 64, values)


def test_migrations_make_exactly_the_tables_of_the_code(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path, create=True)
    with ledger.read() as connection:
        found = compare_metadata(MigrationContext.configure(connection), METADATA)
    assert found == []
    assert KNOWN_REVISIONS[-1] == REVISION


def test_sqlite_runs_with_a_write_ahead_log_and_full_synchronisation(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path, create=True)
    with ledger.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2


def test_a_missing_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"ledger .*ledger\.db does not exist"):
        open_ledger(tmp_path)


def test_a_newer_schema_is_refused_in_one_line(tmp_path: Path) -> None:
    open_ledger(tmp_path, create=True).close()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0099'")
    with pytest.raises(LedgerError, match="schema 0099, newer than this evomerge") as caught:
        open_ledger(tmp_path, create=True)
    assert "\n" not in str(caught.value)


def test_an_older_schema_says_how_to_upgrade_and_writing_upgrades_it(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "ledger.db").close()
    (tmp_path / "ledger.db").touch()
    with pytest.raises(LedgerError, match=r"older than 0002.*evomerge resume"):
        open_ledger(tmp_path, read_only=True)
    open_ledger(tmp_path).close()
    open_ledger(tmp_path, read_only=True).close()


def test_another_database_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    with pytest.raises(LedgerError, match=r"other tables \(customers"):
        open_ledger(tmp_path, create=True)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("not a database, but long enough to be read as one" * 9)
    with pytest.raises(LedgerError, match="can't be used: file is not a database"):
        open_ledger(tmp_path, create=True)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://host/db", "a database that evomerge doesn't know"),
        ("sqlite://", "names no file"),
        ("runs/ledger.db", "not a database URL"),
    ],
)
def test_other_urls_are_refused(url: str, message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        parse_ledger_url(url)


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path, create=True)
    writer = RunWriter(ledger, "run1")

    def half() -> None:
        with ledger.write("test") as connection:
            writer._decide(connection, "ask", {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert RunRecords(ledger, "run1").decisions() == []


def test_the_first_commit_wins(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path, create=True)
    writer, records = RunWriter(ledger, "run1"), RunRecords(ledger, "run1")
    lost = AttemptRecord("0-0", "search", 1, Failure("died", "gone"), lost=True)
    assert writer.add_attempt(lost, [], {}, None)
    assert not writer.add_attempt(lost, [], {}, Asked(0, ("0-0",)))
    second = AttemptRecord("0-0", "search", 2, None)
    assert writer.add_attempt(second, [block(1.0), block(0.5, number=1)], {}, None)
    late = AttemptRecord("0-0", "search", 3, None)
    assert not writer.add_attempt(late, [block(0.0)], {}, Asked(0, ("0-0",)))
    scores = records.scores("0-0", "search", "near", "hit")
    assert scores[:, 0].tolist() == [1.0, 1.0, 0.5, 0.5]
    assert [row.number for row in records.attempts()] == [1, 2]
    assert records.events() == []


def test_attempts_keep_their_order_and_failure(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path, create=True)
    writer = RunWriter(ledger, "run1")
    failure = Failure("nan", "not finite", "traceback")
    writer.add_attempt(AttemptRecord("0-1", "search", 1, failure), [], {}, None)
    writer.add_attempt(AttemptRecord("0-0", "search", 1, None), [], {}, Asked(0, ("0-0",)))
    found = RunRecords(ledger, "run1").attempts()
    assert [(row.candidate_id, row.failure) for row in found] == [("0-1", failure), ("0-0", None)]
    assert RunRecords(ledger, "run1").events() == [(1, "asked", {"ask": 0, "candidates": ["0-0"]})]


READER = """
import sys, time
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
records = RunRecords(Ledger.open(sys.argv[1], read_only=True), "run1")
counts = []
print("ready", flush=True)
while not counts or counts[-1] < int(sys.argv[2]):
    counts.append(len(records.attempts()))
print(len(set(counts)))
"""


def test_another_process_reads_while_the_driver_writes(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=20, finalists=4)
    run = fake.start()
    with subprocess.Popen(
        [sys.executable, "-c", READER, fake.url, "24"], stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        for _ in run.drive():
            pass
        out, _ = reader.communicate(timeout=60)
    assert reader.returncode == 0
    assert int(out) > 2  # it saw the run grow
