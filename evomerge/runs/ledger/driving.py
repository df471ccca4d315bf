"""Who drives a run: one holder at a time, by the database's clock.

A driver claims its run and gets an epoch, one more than the last driver's. It shows at each beat
that it lives; once a lease has passed without one, another driver may claim the run. Every write
of a driver looks for its own epoch, so that a driver that was given up for dead can't write.
"""

import os
import socket

from sqlalchemy import Connection, text

from evomerge.errors import LedgerError
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.drivers import Driver, fenced, now_of, read_row
from evomerge.runs.ledger.tables import driver, worker

LEASE_S = 60.0
"""Seconds that a driver is taken to live after a beat."""


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
        found = read_row(connection, run_id, hold=True)
        if found is not None and found.alive:
            raise LedgerError(
                f"{found.holder} drives this run and gave a sign of life {max(found.age_s, 0):.0f} "
                f"s ago. Stop it first, or wait: without one it can be taken over in "
                f"{max(found.left_s, 1):.0f} s."
            )
        values = {"holder": holder, "beat_s": now_of(connection), "lease_s": lease_s}
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
        change = driver.update().where(mine).values(beat_s=now_of(connection))
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
        return read_row(connection, run_id)


def _lock(connection: Connection, name: str) -> None:
    """Wait until no other transaction holds ``name``; SQLite has one writer at a time anyway."""
    if connection.dialect.name != "sqlite":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})
