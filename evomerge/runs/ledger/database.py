"""The ledger's database: opened, its schema checked, written in short transactions.

Several runs share one ledger; other processes may read at any time. What only one kind of
database needs is in ``sqlite.py`` and ``postgres.py``.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from evomerge.errors import LedgerError
from evomerge.runs.failpoints import failpoint
from evomerge.runs.ledger.drivers import holders_of
from evomerge.runs.ledger.faults import ledger_error
from evomerge.runs.ledger.filesystems import refuse_network_file_system
from evomerge.runs.ledger.postgres import (
    check_postgres_url,
    is_postgres,
    postgres_engine,
    redacted,
)
from evomerge.runs.ledger.schema import (
    check_known,
    lock_schema,
    migrate,
    read_revision,
    refuse_while_driven,
)
from evomerge.runs.ledger.sqlite import WRITES, file_of, sqlite_engine
from evomerge.runs.ledger.tables import METADATA, REVISION

_EXAMPLE = "sqlite:///FILE, as in sqlite:///runs/ledger.db, or postgresql://USER@HOST/DATABASE"


class Ledger:
    """One database with the records of many runs.

    Open it with ``Ledger.open``; close it when done. Safe to open in many processes.
    """

    def __init__(self, engine: Engine, url: URL) -> None:
        self._writer = engine.execution_options(**{WRITES: True})
        self._reader = engine
        if is_postgres(url):
            # Everything that is read in one transaction is then of one moment, as with SQLite.
            self._reader = engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        self.url = url

    @classmethod
    def open(
        cls,
        url: str,
        *,
        create: bool = False,
        read_only: bool = False,
        schema: str | None = REVISION,
    ) -> "Ledger":
        """Open the ledger at ``url``.

        Args:
            url: ``sqlite:///FILE``, where a relative file is relative to the working folder, or
                ``postgresql://USER@HOST/DATABASE``.
            create: Make the tables where there are none, of SQLite the file too, and bring an older
                schema up to date.
            read_only: Never write, not even to upgrade.
            schema: What it is brought to; None takes any schema that is known, as it is.

        Raises:
            LedgerError: There is no ledger, it is no ledger, it can't be written, or its schema
                is newer than this version of evomerge (or older, where it may not be upgraded).
            LedgerAwayError: The database can't be reached just now.
            MissingExtraError: PostgreSQL's driver isn't installed.
        """
        parsed = parse_ledger_url(url)
        file = file_of(parsed)
        if file is None:
            engine = postgres_engine(parsed)
        else:
            if not read_only:
                refuse_network_file_system(file)
            _check_file(file, create=create)
            engine = sqlite_engine(parsed, read_only=read_only)
        ledger = cls(engine, parsed)
        try:
            ledger._check_schema(schema, create=create, may_upgrade=create or not read_only)
        except BaseException:
            ledger.close()
            raise
        return ledger

    @property
    def where(self) -> str:
        """The SQLite file, or PostgreSQL's address without secrets: for messages."""
        return str(self.file or redacted(self.url))

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for PostgreSQL."""
        return file_of(self.url)

    @contextmanager
    def write(self, name: str) -> Iterator[Connection]:
        """Give a connection inside one write transaction, committed at the end of the block.

        Args:
            name: What is written; the failpoints ``before:NAME`` and ``after:NAME`` stand around
                the commit.

        Raises:
            LedgerError: The database can't be written: disk full, read-only, broken.
            LedgerAwayError: It can't be reached, or is locked; nothing was written unless the
                connection was lost during the commit itself.
        """
        failpoint(f"begin:{name}")
        with self._errors(), self._writer.begin() as connection:
            yield connection
            failpoint(f"before:{name}")
        failpoint(f"after:{name}")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection inside one read transaction: everything read in it is of one moment.

        Raises:
            LedgerError: The database can't be read.
            LedgerAwayError: It can't be reached.
        """
        with self._errors(), self._reader.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._writer.dispose()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, PoolTimeout) as error:
            raise ledger_error(self.where, error, file=self.file) from error

    def revision(self) -> str | None:
        """Return its schema, None for an empty database."""
        with self.read() as connection:
            return read_revision(connection, self.where)

    def _check_schema(self, wanted: str | None, *, create: bool, may_upgrade: bool) -> None:
        """Refuse a newer schema; upgrade an older one or say how."""
        revision = self.revision()
        check_known(revision, self.where)
        if revision is None and not create and (self.file is None or wanted is None):
            raise LedgerError(
                f"database {self.where} holds no ledger. Give the folder of a run whose ledger is "
                "still there, or start one with 'evomerge run'."
            )
        if wanted is None or revision == wanted:
            return
        if not may_upgrade:
            raise LedgerError(
                f"ledger {self.where} has schema {revision or 'none'}, older than {REVISION}. "
                "Upgrade it with 'evomerge db upgrade', or 'evomerge resume' on one of its runs."
            )
        self._upgrade(wanted)

    def _upgrade(self, wanted: str) -> None:
        with self.write("schema") as connection:
            lock_schema(connection)
            # Another process may have been faster.
            if read_revision(connection, self.where) != wanted:
                refuse_while_driven(holders_of(connection), self.where)
                migrate(connection, wanted)


def parse_ledger_url(url: str) -> URL:
    """Return ``url`` parsed.

    Raises:
        LedgerError: It is no URL of a SQLite file or PostgreSQL database, or it holds a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        shown = re.sub(r":[^:@/]*@", ":***@", url)
        raise LedgerError(f"ledger {shown!r} is not a database URL. Write {_EXAMPLE}.") from error
    if is_postgres(parsed):
        return check_postgres_url(parsed)
    if parsed.drivername != "sqlite":
        raise LedgerError(
            f"ledger {redacted(parsed)!r} is of a database that evomerge doesn't know. "
            f"Write {_EXAMPLE}."
        )
    if file_of(parsed) is None:
        raise LedgerError(
            f"ledger {url!r} names no file, and a ledger must outlive its process. "
            f"Write {_EXAMPLE}."
        )
    return parsed


def check_ledger_url(url: str) -> None:
    """Find what would keep a ledger from being opened, without connecting.

    Raises:
        LedgerError: ``url`` can't be used.
        MissingExtraError: PostgreSQL's driver isn't installed.
    """
    parsed = parse_ledger_url(url)
    if file_of(parsed) is None:
        postgres_engine(parsed)


def _check_file(file: Path, *, create: bool) -> None:
    """Refuse a file that isn't there, or make its folder."""
    if file.is_file():
        return
    if not create:
        raise LedgerError(
            f"ledger {file} does not exist. Give the folder of a run whose ledger is still there, "
            "or start one with 'evomerge run'."
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(
            f"folder {file.parent} of the ledger can't be made: {error.strerror}. Give a file in "
            "a folder that you may write under 'ledger'."
        ) from error


__all__ = ["METADATA", "Ledger", "check_ledger_url", "parse_ledger_url"]
