"""The disks that a run writes on: whether there is room."""

import os
import shutil
from pathlib import Path

from evomerge.errors import LedgerAwayError
from evomerge.runs.ledger.database import Ledger

GB = 10**9


def disk_trouble(
    folder: Path, ledger: Ledger, *, reserve_gb: float, budget_gb: float | None
) -> str | None:
    """Return why a run should stop for want of disk, or None.

    Args:
        folder: The run's folder.
        ledger: Its ledger; one on another machine counts towards the budget only.
        reserve_gb: GB that must stay free on the disks of both.
        budget_gb: GB that both together may take; None for no limit.
    """
    for place in _places(folder, ledger):
        free = shutil.disk_usage(place).free
        if free < reserve_gb * GB:
            return (
                f"the disk of {place} has {free / GB:.2f} GB free, less than "
                f"execution.disk_reserve_gb ({reserve_gb:g})"
            )
    if budget_gb is None:
        return None
    used = folder_bytes(folder) + _ledger_bytes(ledger)
    if used <= budget_gb * GB:
        return None
    return (
        f"{folder} and the ledger take {used / GB:.2f} GB, more than execution.disk_budget_gb "
        f"({budget_gb:g})"
    )


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files below ``folder``; those that vanish meanwhile count nothing."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except OSError:
                continue
    return total


def _places(folder: Path, ledger: Ledger) -> list[Path]:
    """Return a folder on each disk that is written on."""
    places = [folder]
    if ledger.file is not None:
        place = ledger.file.absolute().parent
        if place.stat().st_dev != folder.stat().st_dev:
            places.append(place)
    return places


def _ledger_bytes(ledger: Ledger) -> int:
    """Return the size of the ledger, of all its runs; 0 while it can't be reached."""
    if ledger.file is not None:
        files = (Path(f"{ledger.file}{suffix}") for suffix in ("", "-wal", "-shm"))
        return sum(file.stat().st_size for file in files if file.exists())
    try:
        with ledger.read() as connection:
            size = connection.exec_driver_sql("SELECT pg_database_size(current_database())")
            return int(size.scalar_one())
    except LedgerAwayError:
        return 0
