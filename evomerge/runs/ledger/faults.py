"""What a database's error means for a run: away just now, or of no use."""

import shutil
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from evomerge.errors import LedgerAwayError, LedgerError

_FULL_BELOW = 4 * 2**20
"""Free bytes below which an input/output error of SQLite is put down to a full disk."""

_SQLITE_AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
}

# Connection lost, server going or coming, lock or statement timeout, deadlock, out of memory or
# connections, a standby that isn't promoted yet: the same write may work later.
_AWAY_STATES = {
    "57P01", "57P02", "57P03", "57P05", "57014", "55P03", "40001", "40P01", "25P03", "25006",
    "53200", "53300",
}  # fmt: skip
_FULL_STATE = "53100"

# A connection that is refused for good carries no state, only libpq's text.
_REFUSED = ("authentication failed", "does not exist", "pg_hba.conf", "no password supplied")


def ledger_error(where: str, error: SQLAlchemyError, *, file: Path | None) -> LedgerError:
    """Return what to raise for ``error`` of the ledger ``where``, kept in ``file`` if SQLite.

    Returns:
        ``LedgerAwayError`` where the same may work later (locked, server away), ``LedgerError``
        where it can't: disk full, broken, not a ledger, not allowed.
    """
    reason = _one_line(getattr(error, "orig", None) or error)
    if is_full(error, file):
        return LedgerError(
            f"ledger {where} can't be written: the disk is full ({reason}). Free some space, then "
            "go on with 'evomerge resume'; everything that was finished is stored."
        )
    if is_away(error):
        cause = (
            "the server runs and can be reached"
            if file is None
            else "its folder is there and no other process blocks it"
        )
        return LedgerAwayError(f"ledger {where} is away: {reason}. Check that {cause}.")
    advice = (
        "that the database and its user exist, and that ~/.pgpass, PGPASSFILE or PGPASSWORD has "
        "the password"
        if file is None
        else "that it is a SQLite file, that you may write it and its folder, and that the disk "
        "has room"
    )
    return LedgerError(f"ledger {where} can't be used: {reason}. Check {advice}.")


def is_full(error: SQLAlchemyError, file: Path | None) -> bool:
    """Say if ``error`` is that of a full disk."""
    cause = getattr(error, "orig", None)
    if isinstance(cause, sqlite3.Error):
        code = _sqlite_code(cause)
        if code == sqlite3.SQLITE_FULL:
            return True
        # Where the log's index can't grow, SQLite doesn't say why.
        return code == sqlite3.SQLITE_IOERR and file is not None and _free(file) < _FULL_BELOW
    return getattr(cause, "sqlstate", None) == _FULL_STATE


def is_away(error: SQLAlchemyError) -> bool:
    """Say if the database can't be reached or is locked, so that the same may work later."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return _sqlite_code(cause) in _SQLITE_AWAY
    state = getattr(cause, "sqlstate", None)
    if state:
        return state in _AWAY_STATES or state.startswith("08")
    # Psycopg's errors without a state come from the connection, not from a statement.
    if type(cause).__name__ not in ("OperationalError", "InterfaceError", "ConnectionTimeout"):
        return False
    return not any(text in str(cause) for text in _REFUSED)


def _sqlite_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code, 0 where the error isn't SQLite's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _free(file: Path) -> int:
    try:
        return shutil.disk_usage(file.parent).free
    except OSError:
        return _FULL_BELOW


def _one_line(error: object) -> str:
    """Return the text of ``error``; libpq adds a question in lines of its own."""
    lines = [line.strip() for line in str(error).splitlines()]
    return "; ".join(line for line in lines if line and not line.endswith("?")).rstrip(".")
