"""Which file systems may hold a SQLite ledger: those of this machine, not of the network."""

import os
import re
from pathlib import Path

from evomerge.errors import LedgerError

NETWORK = {
    "9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb3", "smbfs", "wekafs",
}  # fmt: skip
"""File systems that several machines may mount, by the name that the kernel gives them."""

_NETWORK_FUSE = re.compile(
    r"fuse\.(sshfs|.*s3.*|gcsfuse|rclone|ceph.*|gluster.*|juicefs|cvmfs.*|beegfs|goofys|blobfuse.*"
    r"|davfs.*|curlftpfs|smbnetfs|moosefs|mfs|lizardfs|seaweedfs|alluxio.*|onedriver)"
)


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


def _unescaped(point: str) -> str:
    r"""Return a mount point with its ``\040`` and the like undone."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
