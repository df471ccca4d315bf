import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, text
from sqlalchemy.engine import Engine

from evomerge.errors import LedgerAwayError, LedgerError, MissingExtraError
from evomerge.runs.ledger.database import Ledger, check_ledger_url, parse_ledger_url
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.tables import KNOWN_REVISIONS, METADATA, REVISION
from evomerge.runs.ledger.writer import RunWriter
from tests.runs.fakes import BINARY, FakeRun, picture
from tests.runs.ledger.conftest import Opener


def sqlite_ledger(folder: Path, **options: bool) -> Ledger:
    return Ledger.open(f"sqlite:///{folder}/ledger.db", **options)


def test_migrations_make_exactly_the_tables_of_the_code(ledger: Ledger) -> None:
    with ledger.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        found = compare_metadata(context, METADATA)
    assert found == []
    assert KNOWN_REVISIONS[-1] == REVISION == ledger.revision()


def test_sqlite_runs_with_a_write_ahead_log_and_full_synchronisation(tmp_path: Path) -> None:
    ledger = sqlite_ledger(tmp_path, create=True)
    with ledger.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2


def test_a_missing_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"ledger .*ledger\.db does not exist"):
        sqlite_ledger(tmp_path)


@pytest.mark.postgres
def test_an_empty_database_is_no_ledger_until_a_run_starts(postgres_url: str) -> None:
    for read_only in (False, True):
        with pytest.raises(LedgerError, match="holds no ledger"):
            Ledger.open(postgres_url, read_only=read_only)


def test_a_newer_schema_is_refused_in_one_line(ledger: Ledger, open_ledger: Opener) -> None:
    with ledger.write("test") as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0099'"))
    with pytest.raises(LedgerError, match="schema 0099, newer than this evomerge") as caught:
        open_ledger(create=True)
    assert "\n" not in str(caught.value)


def test_an_older_schema_says_how_to_upgrade_and_writing_upgrades_it(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch()
    with pytest.raises(LedgerError, match=r"older than 0004.*evomerge db upgrade"):
        sqlite_ledger(tmp_path, read_only=True)
    sqlite_ledger(tmp_path).close()
    sqlite_ledger(tmp_path, read_only=True).close()


def test_another_database_is_left_alone(ledger: Ledger, open_ledger: Opener) -> None:
    with ledger.write("test") as connection:
        connection.execute(text("DROP TABLE alembic_version"))
        connection.execute(text("CREATE TABLE customers (name TEXT)"))
    with pytest.raises(LedgerError, match="is a database with other tables"):
        open_ledger(create=True)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("not a database, but long enough to be read as one" * 9)
    with pytest.raises(LedgerError, match="can't be used: file is not a database"):
        sqlite_ledger(tmp_path, create=True)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://host/db", "a database that evomerge doesn't know"),
        ("sqlite+aiosqlite:///x.db", "a database that evomerge doesn't know"),
        ("sqlite://", "names no file"),
        ("runs/ledger.db", "not a database URL"),
        ("postgresql://host", "names no database"),
        ("postgresql+psycopg2://host/db", "uses psycopg 3"),
        ("postgresql://me:hunter2@host:port/db", "not a database URL"),
        ("postgresql://me:hunter2@host/db", r"holds a password.*PGPASSFILE"),
        ("postgresql://me@host/db?password=hunter2", r"holds a password.*PGPASSFILE"),
        ("postgresql://me@host/db?sslpassword=hunter2", r"holds a password.*PGPASSFILE"),
    ],
)
def test_other_urls_are_refused_without_showing_secrets(url: str, message: str) -> None:
    with pytest.raises(LedgerError, match=message) as caught:
        parse_ledger_url(url)
    assert "hunter2" not in str(caught.value)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'evomerge\[postgres\]'"):
        check_ledger_url("postgresql://host/db")
    check_ledger_url("sqlite:///runs/ledger.db")


def test_a_write_that_fails_half_way_leaves_nothing(ledger: Ledger) -> None:
    writer = RunWriter(ledger, "run1")

    def half() -> None:
        with ledger.write("test") as connection:
            writer._decide(connection, "ask", {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert RunRecords(ledger, "run1").decisions() == []


def test_what_one_transaction_reads_is_of_one_moment(ledger: Ledger, open_ledger: Opener) -> None:
    query = text("SELECT count(*) FROM decision")
    with open_ledger(read_only=True).read() as connection:
        before = connection.execute(query).scalar()
        RunWriter(ledger, "run1").decide("ask", {})
        assert connection.execute(query).scalar() == before == 0
    assert len(RunRecords(ledger, "run1").decisions()) == 1


def test_a_read_only_ledger_is_never_written(ledger: Ledger, open_ledger: Opener) -> None:
    reader = open_ledger(read_only=True)
    with (
        pytest.raises(LedgerError, match=r"readonly|read-only"),
        reader.read() as connection,
    ):
        connection.execute(text("DELETE FROM run"))


def test_a_locked_file_is_away_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evomerge.runs.ledger.sqlite.BUSY_S", 0.1)
    ledger = sqlite_ledger(tmp_path, create=True)
    writer = RunWriter(ledger, "run1")
    blocker = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerAwayError, match="database is locked"):
        writer.decide("ask", {})
    blocker.execute("ROLLBACK")
    blocker.close()
    writer.decide("ask", {})
    assert [row.sequence for row in RunRecords(ledger, "run1").decisions()] == [1]


def test_a_full_disk_stops_the_run_at_once_and_a_resume_ends_alike(tmp_path: Path) -> None:
    """SQLite refuses to grow, as it does on a full disk, in the middle of the run."""
    whole = FakeRun(tmp_path / "whole", budget=12, finalists=2, evaluators=BINARY)
    whole.folder.mkdir()
    drive(whole.start())
    limited = FakeRun(tmp_path / "limited", budget=12, finalists=2, evaluators=BINARY)
    limited.folder.mkdir()
    run = limited.start()
    pages = int((limited.folder / "ledger.db").stat().st_size / 4096)

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages + 12}")

    event.listen(Engine, "connect", limit)
    try:
        run.records.ledger.close()
        with pytest.raises(LedgerError, match=r"the disk is full.*evomerge resume") as caught:
            drive(run)
        assert not isinstance(caught.value, LedgerAwayError)
    finally:
        event.remove(Engine, "connect", limit)
    run.records.ledger.close()
    stored = limited.records()
    done = {(row.candidate_id, row.split) for row in stored.attempts() if row.failure is None}
    assert 0 < len(done) < 14
    assert done == {(name, s) for s in ("search", "validation") for name in stored.estimates(s)}
    drive(limited.resume())
    assert picture(limited.records()) == picture(whole.records())


def drive(run: object) -> None:
    for _ in run.drive():  # type: ignore[attr-defined]
        pass


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


def test_another_process_reads_while_the_driver_writes(ledger_url: str, tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=20, finalists=4, ledger=ledger_url)
    run = fake.start()
    with subprocess.Popen(
        [sys.executable, "-c", READER, fake.url, "24"], stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        drive(run)
        out, _ = reader.communicate(timeout=60)
    assert reader.returncode == 0
    assert int(out) > 2  # it saw the run grow
