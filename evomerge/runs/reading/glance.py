"""How far a run is, read at a glance: from a SQLite ledger with the standard library alone.

``evomerge status`` is asked often and should answer at once, and loading SQLAlchemy and numpy takes
longer than the answer. ``RunResults.status`` gives the same for any ledger; a test holds the two
together.
"""

import sqlite3
from pathlib import Path

from evomerge.runs.folder import RunFolder
from evomerge.runs.reading.status import Status, read_status

REVISION = "0004"
"""Schema that this module reads."""

_SQLITE = "sqlite:///"


def glance(path: Path) -> Status | None:
    """Return the status of the run in folder ``path``; None where its ledger has to be asked fully.

    Raises:
        LedgerError: It is no run folder.
    """
    folder = RunFolder.open(path)
    file = Path(folder.ledger.removeprefix(_SQLITE))
    if not folder.ledger.startswith(_SQLITE) or not file.is_file():
        return None
    try:
        connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True, timeout=10)
    except sqlite3.Error:
        return None
    try:
        # One read transaction: everything is of one moment.
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        if connection.execute("SELECT version_num FROM alembic_version").fetchall() != [
            (REVISION,)
        ]:
            return None
        return read_status(lambda sql, values: connection.execute(sql, values).fetchall(), folder)
    except (sqlite3.Error, LookupError):
        return None
    finally:
        connection.close()
