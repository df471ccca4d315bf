"""The rows that say who drives which run, read within a transaction, by the database's clock."""

import socket
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Select,
    cast,
    func,
    inspect,
    literal_column,
    select,
)

from evomerge.errors import FencedError
from evomerge.runs.ledger.tables import driver

SERVICE = "service"
"""In place of a run's id: the row of the service that looks after the ledger's jobs."""

_SLACK_S = 5.0


@dataclass(frozen=True)
class Driver:
    """Who drives a run, or did.

    Args:
        run_id: The run.
        epoch: Counts its drivers from 1.
        holder: ``HOST:PID``.
        age_s: Seconds since its last beat.
        lease_s: It is taken to live for so long after a beat; 0: it has given the run back.
    """

    run_id: str
    epoch: int
    holder: str
    age_s: float
    lease_s: float

    @property
    def left_s(self) -> float:
        """Seconds that its lease still runs; 0 or less where it has run out."""
        # A beat far ahead of the clock was made before the clock was set back.
        return self.lease_s - self.age_s if self.age_s > -self.lease_s else 0.0

    @property
    def alive(self) -> bool:
        """Say if its lease still runs and its process, where it is on this machine, is there."""
        return self.left_s > 0 and not _is_gone(self.holder, self.age_s)


def holders_of(connection: Connection) -> list[str]:
    """Return ``HOST:PID`` of the drivers that live, of all runs of a ledger of any schema."""
    if not inspect(connection).has_table(driver.name):
        return []
    rows = connection.execute(_select(connection))
    return [found.holder for row in rows if (found := Driver(**row._mapping)).alive]


def fenced(connection: Connection, run_id: str, epoch: int) -> FencedError:
    """Return the error of a driver whose run has been taken over."""
    found = read_row(connection, run_id)
    who = f"{found.holder} (driver {found.epoch})" if found else "nobody"
    return FencedError(
        f"run {run_id} was taken over by {who} while this driver ({epoch}) gave no sign of life. "
        "It stops here; nothing that it had stored is lost."
    )


def read_row(connection: Connection, run_id: str, *, hold: bool = False) -> Driver | None:
    """Return the row of ``run_id``; ``hold``: no other transaction changes it before this ends."""
    query = _select(connection).where(driver.c.run_id == run_id)
    row = connection.execute(query.with_for_update() if hold else query).one_or_none()
    return None if row is None else Driver(**row._mapping)


def _select(connection: Connection) -> Select[Any]:
    c = driver.c
    age = (now_of(connection) - c.beat_s).label("age_s")
    return select(c.run_id, c.epoch, c.holder, age, c.lease_s)


def now_of(connection: Connection) -> ColumnElement[float]:
    """Return the database's clock as seconds since 1970."""
    if connection.dialect.name == "sqlite":
        return literal_column("(julianday('now') - 2440587.5) * 86400.0", Float)
    return cast(func.extract("epoch", func.clock_timestamp()), Float)


def _is_gone(holder: str, age_s: float) -> bool:
    """Say if ``holder`` was a process of this machine that has ended since its beat."""
    host, _, pid = holder.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    import psutil  # takes longer to load than most commands need

    try:
        process = psutil.Process(int(pid))
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        # Another process may have got the number since, always so for the first of a container.
        return time.time() - process.create_time() < age_s - _SLACK_S
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False
