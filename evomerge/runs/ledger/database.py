"""The ledger's database: opened, its schema checked, written in short transactions.

Several runs share one ledger; other processes may read at any time. Everything that only SQLite
needs is in ``sqlite.py``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, SQLAlchemyError

from evomerge.errors import LedgerError
from evomerge.runs.failpoints import failpoint
from evomerge.runs.ledger.sqlite import WRITES, file_of, sqlite_engine
from evomerge.runs.ledger.tables import KNOWN_REVISIONS, METADATA, REVISION


class Ledger:
    """One database with the records of many runs.

    Open it with ``Ledger.open``; close it when done. Safe to open in many processes.
    """

    def __init__(self, engine: Engine, url: URL) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITES: True})
        self.url = url

    @classmethod
    def open(cls, url: str, *, create: bool = False, read_only: bool = False) -> "Ledger":
        """Open the ledger at ``url``.

        Args:
            url: ``sqlite:///FILE``; a relative file is relative to the working folder.
            create: Make the database where there is none, and bring an older one up to date.
            read_only: Never write, not even to upgrade.

        Raises:
            LedgerError: There is no ledger, it is no ledger, it can't be written, or its schema
                is newer than this version of evomerge (or older, where it may not be upgraded).
        """
        parsed = parse_ledger_url(url)
        file = file_of(parsed)
        assert file is not None
        if not file.is_file():
            if not create:
                raise LedgerError(
                    f"ledger {file} does not exist. Give the folder of a run whose ledger is still "
                    "there, or start one with 'evomerge run'."
                )
            _make_folder(file)
        ledger = cls(sqlite_engine(parsed, read_only=read_only), parsed)
        try:
            ledger._check_schema(may_upgrade=create or not read_only)
        except DatabaseError as error:
            ledger.close()
            raise LedgerError(_unusable(file, error)) from error
        except LedgerError:
            ledger.close()
            raise
        return ledger

    @contextmanager
    def write(self, name: str) -> Iterator[Connection]:
        """Give a connection inside one write transaction, committed at the end of the block.

        Args:
            name: What is written; the failpoints ``before:NAME`` and ``after:NAME`` stand around
                the commit.

        Raises:
            LedgerError: The database can't be written (disk full, read-only, locked for too long).
        """
        failpoint(f"begin:{name}")
        try:
            with self._writer.begin() as connection:
                yield connection
                failpoint(f"before:{name}")
        except DatabaseError as error:
            raise LedgerError(_unusable(self.url.database, error)) from error
        failpoint(f"after:{name}")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection inside one read transaction: everything read in it is of one moment."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except DatabaseError as error:
            raise LedgerError(_unusable(self.url.database, error)) from error

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _check_schema(self, *, may_upgrade: bool) -> None:
        """Refuse a newer schema; upgrade an older one or say how."""
        with self.read() as connection:
            revision = _revision(connection, self.url)
        if revision == REVISION:
            return
        if revision is not None and revision not in KNOWN_REVISIONS:
            raise LedgerError(
                f"ledger {self.url.database} has schema {revision}, newer than this evomerge knows "
                f"({REVISION}). Use the version of evomerge that wrote it, or a newer one."
            )
        if not may_upgrade:
            raise LedgerError(
                f"ledger {self.url.database} has schema {revision or 'none'}, older than "
                f"{REVISION}. "
                "Upgrade it with 'evomerge resume' on one of its runs, which migrates it first."
            )
        with self.write("schema") as connection:
            # Another process may have been faster.
            if _revision(connection, self.url) != REVISION:
                _upgrade(connection)


def parse_ledger_url(url: str) -> URL:
    """Return ``url`` parsed.

    Raises:
        LedgerError: It is no URL of a SQLite file.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise LedgerError(
            f"ledger {url!r} is not a database URL. Write sqlite:///FILE, as in "
            "sqlite:///runs/ledger.db."
        ) from error
    if parsed.get_backend_name() != "sqlite":
        raise LedgerError(
            f"ledger {parsed.render_as_string()!r}: this version keeps its ledger in SQLite. "
            "Write sqlite:///FILE, as in sqlite:///runs/ledger.db."
        )
    if file_of(parsed) is None:
        raise LedgerError(
            f"ledger {url!r} names no file, and a ledger must outlive its process. Write "
            "sqlite:///FILE, as in sqlite:///runs/ledger.db."
        )
    return parsed


def _revision(connection: Connection, url: URL) -> str | None:
    """Return the schema's revision, None for an empty database."""
    names = inspect(connection).get_table_names()
    if "alembic_version" not in names:
        if names:
            raise LedgerError(
                f"{url.database} is a database with other tables ({', '.join(names[:3])} …), not "
                "a ledger. "
                "Give another file under 'ledger'."
            )
        return None
    rows = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return rows[0] if rows else None


def _upgrade(connection: Connection) -> None:
    """Run the migrations within the caller's transaction."""
    # Alembic takes as long to import as everything else; most commands never need it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _make_folder(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(
            f"folder {file.parent} of the ledger can't be made: {error.strerror}. Give a file in "
            "a folder "
            "that you may write under 'ledger'."
        ) from error


def _unusable(file: object, error: SQLAlchemyError) -> str:
    reason = str(getattr(error, "orig", error)).rstrip(".")
    return (
        f"ledger {file} can't be used: {reason}. Check that it is a SQLite file, that you may "
        "write it and "
        "its folder, and that the disk has room."
    )


__all__ = ["METADATA", "Ledger", "parse_ledger_url"]
