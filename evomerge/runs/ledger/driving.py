"""Who drives a run: one holder at a time, by the database's clock.

A driver claims its run and gets an epoch, one more than the last driver's. It shows at each beat
that it lives; once a lease has passed without one, another driver may claim the run. Every write
of a driver looks for its own epoch, so that a driver that was given up for dead can't write.
"""

import os
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
    text,
)

from evomerge.errors import FencedError, LedgerError
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.tables import driver, worker

LEASE_S = 60.0
"""Seconds that a driver is taken to live after a beat."""

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


def this_process() -> str:
    """Return ``HOST:PID`` of this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def claim(ledger: Ledger, run_id: str, *, holder: str, lease_s: float = LEASE_S) -> int:
    """Become the driver of a run and return its epoch, which every write then carries.

    Args:
        ledger: Where the run is.
        run_id: The run.
        holder: ``HOST:PID`` of the driver.
        lease_s: Seconds after the last beat before another may claim the run.

    Raises:
        LedgerError: Another driver lives; the message names it and the seconds to wait.
    """
    with ledger.write("claim") as connection:
        _lock(connection, f"driver of {run_id}")
        found = _read(connection, run_id, hold=True)
        if found is not None and found.alive:
            raise LedgerError(
                f"{found.holder} drives this run and gave a sign of life {max(found.age_s, 0):.0f} "
                f"s ago. Stop it first, or wait: without one it can be taken over in "
                f"{max(found.left_s, 1):.0f} s."
            )
        values = {"holder": holder, "beat_s": _now(connection), "lease_s": lease_s}
        if found is None:
            connection.execute(driver.insert().values(run_id=run_id, epoch=1, **values))
            return 1
        epoch = found.epoch + 1
        connection.execute(
            driver.update().where(driver.c.run_id == run_id).values(epoch=epoch, **values)
        )
        connection.execute(worker.delete().where(worker.c.run_id == run_id))
        return epoch


def beat(ledger: Ledger, run_id: str, epoch: int) -> None:
    """Give a sign of life.

    Raises:
        FencedError: Another driver has taken the run over.
    """
    with ledger.write("beat") as connection:
        mine = (driver.c.run_id == run_id) & (driver.c.epoch == epoch)
        change = driver.update().where(mine).values(beat_s=_now(connection))
        if connection.execute(change).rowcount != 1:
            raise fenced(connection, run_id, epoch)


def release(ledger: Ledger, run_id: str, epoch: int) -> None:
    """Give the run back, so that the next driver needn't wait; not ours any more: do nothing."""
    with ledger.write("release") as connection:
        mine = (driver.c.run_id == run_id) & (driver.c.epoch == epoch)
        connection.execute(driver.update().where(mine).values(lease_s=0.0))


def read_driver(ledger: Ledger, run_id: str) -> Driver | None:
    """Return who drives the run or did last, None where nobody ever has."""
    with ledger.read() as connection:
        return _read(connection, run_id)


def holders_of(connection: Connection) -> list[str]:
    """Return ``HOST:PID`` of the drivers that live, of all runs of a ledger of any schema."""
    if not inspect(connection).has_table(driver.name):
        return []
    rows = connection.execute(_select(connection))
    return [found.holder for row in rows if (found := Driver(**row._mapping)).alive]


def fenced(connection: Connection, run_id: str, epoch: int) -> FencedError:
    """Return the error of a driver whose run has been taken over."""
    found = _read(connection, run_id)
    who = f"{found.holder} (driver {found.epoch})" if found else "nobody"
    return FencedError(
        f"run {run_id} was taken over by {who} while this driver ({epoch}) gave no sign of life. "
        "It stops here; nothing that it had stored is lost."
    )


def _read(connection: Connection, run_id: str, *, hold: bool = False) -> Driver | None:
    query = _select(connection).where(driver.c.run_id == run_id)
    row = connection.execute(query.with_for_update() if hold else query).one_or_none()
    return None if row is None else Driver(**row._mapping)


def _select(connection: Connection) -> Select[Any]:
    c = driver.c
    age = (_now(connection) - c.beat_s).label("age_s")
    return select(c.run_id, c.epoch, c.holder, age, c.lease_s)


def _now(connection: Connection) -> ColumnElement[float]:
    """Return the database's clock as seconds since 1970."""
    if connection.dialect.name == "sqlite":
        return literal_column("(julianday('now') - 2440587.5) * 86400.0", Float)
    return cast(func.extract("epoch", func.clock_timestamp()), Float)


def _lock(connection: Connection, name: str) -> None:
    """Wait until no other transaction holds ``name``; SQLite has one writer at a time anyway."""
    if connection.dialect.name != "sqlite":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})


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
