"""The ledger's schema in a database: which one is there, and bringing it up to date."""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from evomerge.errors import LedgerError
from evomerge.runs.ledger.tables import KNOWN_REVISIONS, REVISION


def read_revision(connection: Connection, where: str) -> str | None:
    """Return the schema's revision, None for an empty database.

    Raises:
        LedgerError: The database holds other things.
    """
    names = inspect(connection).get_table_names()
    if "alembic_version" not in names:
        if names:
            raise LedgerError(
                f"{where} is a database with other tables ({', '.join(names[:3])} …), not a "
                "ledger. Give another database under 'ledger'."
            )
        return None
    rows = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return rows[0] if rows else None


def check_known(revision: str | None, where: str) -> None:
    """Refuse a schema that this version doesn't know.

    Raises:
        LedgerError: It is newer.
    """
    if revision is not None and revision not in KNOWN_REVISIONS:
        raise LedgerError(
            f"ledger {where} has schema {revision}, newer than this evomerge knows ({REVISION}). "
            "Use the version of evomerge that wrote it, or a newer one."
        )


def lock_schema(connection: Connection) -> None:
    """Keep other processes from upgrading until the transaction ends; SQLite has one writer."""
    if connection.dialect.name != "sqlite":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('evomerge schema'))"))


def migrate(connection: Connection, revision: str) -> None:
    """Run the migrations up to ``revision`` within the caller's transaction."""
    # Alembic takes as long to import as everything else; most commands never need it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def refuse_while_driven(holders: Sequence[str], where: str) -> None:
    """Refuse an upgrade under a living driver, whose version may not know the new schema.

    Raises:
        LedgerError: There are ``holders``.
    """
    if holders:
        raise LedgerError(
            f"ledger {where} can't be upgraded while its runs are driven, by {', '.join(holders)}. "
            "Stop them first, or wait for them."
        )
