"""What only SQLite needs: pragmas, and transactions that take the write lock when they begin."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

BUSY_S = 60.0
"""Seconds that a writer waits for another one."""

WRITES = "evomerge_writes"
"""Execution option of a connection whose transactions write."""


def file_of(url: URL) -> Path | None:
    """Return the SQLite file that ``url`` names, None for one in memory or another database."""
    database = url.database if url.get_backend_name() == "sqlite" else None
    return None if not database or database == ":memory:" else Path(database)


def sqlite_engine(url: URL, *, read_only: bool) -> Engine:
    """Return an engine with WAL, full synchronisation, and ``BEGIN IMMEDIATE`` for writes.

    Args:
        url: ``sqlite:///FILE``.
        read_only: Open connections that can't write.
    """
    engine = create_engine(url, connect_args={"timeout": BUSY_S})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        assert isinstance(connection, sqlite3.Connection)
        # Python's own transaction handling is off: the "begin" hook below says what to begin.
        connection.isolation_level = None
        if read_only:
            connection.execute("PRAGMA query_only = ON")
            return
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
