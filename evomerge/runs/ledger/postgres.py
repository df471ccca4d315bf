"""What only PostgreSQL needs: its URL, and an engine that notices an outage within seconds."""

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL

from evomerge.errors import LedgerError, MissingExtraError

_CONNECT = {
    "connect_timeout": "5",
    "application_name": "evomerge",
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
"""libpq's settings, in seconds but for the last (ms); the URL may give others."""

_SESSION = {
    "statement_timeout": "120s",
    "lock_timeout": "15s",
    # A driver that vanished in the middle of a write must not hold its row for ever.
    "idle_in_transaction_session_timeout": "60s",
}

_SECRETS = ("password", "sslpassword")


def is_postgres(url: URL) -> bool:
    """Say if ``url`` is PostgreSQL's."""
    return url.get_backend_name() in ("postgresql", "postgres")


def check_postgres_url(url: URL) -> URL:
    """Return ``url`` with the driver that evomerge uses.

    Raises:
        LedgerError: It holds a password, names no database, or another driver.
    """
    shown = redacted(url)
    if url.password is not None or any(name in url.query for name in _SECRETS):
        raise LedgerError(
            f"ledger {shown!r} holds a password, and the address is copied into the run's folder "
            "and the ledger. Leave it out, and put the password into ~/.pgpass, a file that "
            "PGPASSFILE names, or the variable PGPASSWORD."
        )
    _, _, driver = url.drivername.partition("+")
    if driver not in ("", "psycopg"):
        raise LedgerError(
            f"ledger {shown!r} names the driver {driver!r}, and evomerge uses psycopg 3. Write "
            "postgresql://HOST/DATABASE."
        )
    if not url.database:
        raise LedgerError(
            f"ledger {shown!r} names no database. Write postgresql://USER@HOST/DATABASE."
        )
    return url.set(drivername="postgresql+psycopg")


def redacted(url: URL) -> str:
    """Return ``url`` as text without secrets."""
    shown = url.update_query_dict({name: "***" for name in _SECRETS if name in url.query})
    text = shown.render_as_string(hide_password=True).replace("+psycopg://", "://")
    return text.replace("%2F", "/").replace("%2A", "*")


def postgres_engine(url: URL) -> Engine:
    """Return an engine on ``url``; nothing is connected yet.

    Raises:
        MissingExtraError: psycopg isn't installed.
    """
    try:
        import psycopg  # noqa: F401  to say how to install it
    except ImportError as error:
        raise MissingExtraError(
            "psycopg is not installed, and a ledger in PostgreSQL needs it. Install it with: "
            "pip install 'evomerge[postgres]'"
        ) from error
    session = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
    given = url.query.get("options", "")
    # Later options win, so that the URL has the last word.
    options = f"{session} {given if isinstance(given, str) else ' '.join(given)}".rstrip()
    settings = {name: value for name, value in _CONNECT.items() if name not in url.query}
    return create_engine(
        url.difference_update_query(["options"]),
        connect_args={**settings, "options": options},
        pool_pre_ping=True,
        pool_timeout=10,
    )
