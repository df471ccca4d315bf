"""The disks that a run writes on: whether there is room, and whether they may hold a ledger."""

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from evomerge.errors import LedgerAwayError, LedgerError

if TYPE_CHECKING:
    from evomerge.runs.ledger.database import Ledger

GB = 10**9

NETWORK = {
    "9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb3", "smbfs", "wekafs",
}  # fmt: skip
"""File systems that several machines may mount, by the name that the kernel gives them."""

_NETWORK_FUSE = re.compile(
    r"fuse\.(sshfs|.*s3.*|gcsfuse|rclone|ceph.*|gluster.*|juicefs|cvmfs.*|beegfs|goofys|blobfuse.*"
    r"|davfs.*|curlftpfs|smbnetfs|moosefs|mfs|lizardfs|seaweedfs|alluxio.*|onedriver)"
)


def disk_trouble(
    folder: Path, ledger: "Ledger", *, reserve_gb: float, budget_gb: float | None
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


def refuse_network_file_system(path: Path, *, mountinfo: str | None = None) -> None:
    """Refuse to keep a SQLite file on a file system of the network.

    Its locks don't hold there, and two machines would write at once.

    Args:
        path: The file; it needn't exist yet.
        mountinfo: Text of ``/proc/self/mountinfo``; None reads it. Where there is none (not Linux),
            nothing is refused.

    Raises:
        LedgerError: It is on one.
    """
    found = file_system(path, mountinfo=mountinfo)
    if found is None:
        return
    point, kind = found
    if kind in NETWORK or _NETWORK_FUSE.fullmatch(kind):
        raise LedgerError(
            f"ledger {path} is on {point}, a network file system ({kind}), where SQLite loses data "
            "when two machines write. Keep it on a local disk, or use PostgreSQL: "
            "ledger: postgresql://USER@HOST/DATABASE."
        )


def file_system(path: Path, *, mountinfo: str | None = None) -> tuple[str, str] | None:
    """Return mount point and kind of the file system that ``path`` is on, None if unknown."""
    if mountinfo is None:
        try:
            mountinfo = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
        except OSError:
            return None
    real = os.path.realpath(path)
    best: tuple[str, str] | None = None
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        try:
            point, kind = _unescaped(fields.split()[4]), rest.split()[0]
        except IndexError:
            continue
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        # Of two on one point the later one covers the earlier.
        if inside and (best is None or len(point) >= len(best[0])):
            best = (point, kind)
    return best


def _places(folder: Path, ledger: "Ledger") -> list[Path]:
    """Return a folder on each disk that is written on."""
    places = [folder]
    if ledger.file is not None:
        place = ledger.file.absolute().parent
        if place.stat().st_dev != folder.stat().st_dev:
            places.append(place)
    return places


def _ledger_bytes(ledger: "Ledger") -> int:
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


def _unescaped(point: str) -> str:
    r"""Return a mount point with its ``\040`` and the like undone."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
