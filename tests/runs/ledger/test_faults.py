import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from evomerge.errors import LedgerAwayError, LedgerError
from evomerge.runs.ledger import faults
from evomerge.runs.ledger.faults import ledger_error


def of_sqlite(code: int) -> DBAPIError:
    cause = sqlite3.OperationalError("what SQLite says")
    cause.sqlite_errorcode = code
    return OperationalError("INSERT", {}, cause)


def of_postgres(name: str, message: str = "what the server says") -> DBAPIError:
    errors = pytest.importorskip("psycopg").errors
    return OperationalError("INSERT", {}, getattr(errors, name)(message))


@pytest.mark.parametrize(
    "error",
    [
        of_sqlite(sqlite3.SQLITE_BUSY),
        of_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT),
        of_sqlite(sqlite3.SQLITE_CANTOPEN),
        of_sqlite(sqlite3.SQLITE_IOERR_READ),
        of_postgres("AdminShutdown"),
        of_postgres("CannotConnectNow"),
        of_postgres("LockNotAvailable"),
        of_postgres("QueryCanceled"),
        of_postgres("DeadlockDetected"),
        of_postgres("TooManyConnections"),
        of_postgres("ConnectionFailure"),
        of_postgres("ReadOnlySqlTransaction"),
        of_postgres("OperationalError", "the connection is lost"),
        of_postgres("InterfaceError", "the connection is closed"),
        PoolTimeout("QueuePool limit"),
    ],
)
def test_what_may_work_later_is_away(error: DBAPIError, tmp_path: Path) -> None:
    found = ledger_error("L", error, file=tmp_path / "ledger.db")
    assert isinstance(found, LedgerAwayError)
    assert str(found).startswith("ledger L is away: ")


@pytest.mark.parametrize(
    "error",
    [
        of_sqlite(sqlite3.SQLITE_CORRUPT),
        of_sqlite(sqlite3.SQLITE_NOTADB),
        of_sqlite(sqlite3.SQLITE_READONLY),
        of_sqlite(sqlite3.SQLITE_ERROR),
        of_postgres("UndefinedTable"),
        of_postgres("InsufficientPrivilege"),
        of_postgres("DataCorrupted"),
        of_postgres("UniqueViolation"),
        of_postgres("OperationalError", 'FATAL:  password authentication failed for user "me"'),
        of_postgres("OperationalError", 'FATAL:  database "x" does not exist'),
    ],
)
def test_what_cannot_work_later_is_not_away(error: DBAPIError) -> None:
    found = ledger_error("L", error, file=None)
    assert type(found) is LedgerError
    assert "can't be used" in str(found)


def test_a_full_disk_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ledger.db"
    for error in (of_sqlite(sqlite3.SQLITE_FULL), of_postgres("DiskFull")):
        found = ledger_error("L", error, file=file)
        assert type(found) is LedgerError
        assert "the disk is full" in str(found)
    shared_memory = of_sqlite(sqlite3.SQLITE_IOERR_SHMSIZE)
    assert isinstance(ledger_error("L", shared_memory, file=file), LedgerAwayError)
    monkeypatch.setattr(faults, "_free", lambda _: 1000)
    assert "the disk is full" in str(ledger_error("L", shared_memory, file=file))
    # A server that refuses the connection has nothing to do with this machine's disk.
    assert "is away" in str(ledger_error("L", of_postgres("ConnectionFailure"), file=file))
