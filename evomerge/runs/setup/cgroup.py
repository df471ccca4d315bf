"""Memory that control groups leave to this process: the limits of containers and of Slurm."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")

_UNLIMITED = 1 << 60
"""Version 1 writes a number near 2⁶³ where there is no limit."""


@dataclass(frozen=True)
class Limit:
    """What one control group allows.

    Args:
        limit_bytes: All that its processes may take.
        free_bytes: What they can still take; file pages that the kernel would drop count as free.
    """

    limit_bytes: int
    free_bytes: int


def memory_limits(mount: Path = MOUNT, membership: Path = MEMBERSHIP) -> list[Limit]:
    """Return the limits that hold for this process: those of its group and of the groups above."""
    return [limit for folder in _folders(mount, membership) if (limit := _limit(folder))]


def _folders(mount: Path, membership: Path) -> Iterator[Path]:
    """Folders of this process's group and of its parents, in both versions."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = mount / "memory" if controllers else mount
        inside = root / path.lstrip("/")
        yield inside
        # In a container the path may be that of the host, and only the root be mounted.
        yield from (folder for folder in inside.parents if folder.is_relative_to(root))


def _limit(folder: Path) -> Limit | None:
    """Return a group's limit; None where it has none or its files can't be read."""
    for limit_file, usage_file, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            limit = int((folder / limit_file).read_text())  # "max" is no number
            usage = int((folder / usage_file).read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue
        if limit < _UNLIMITED:
            used = usage - int(stat.get(cache, 0))
            return Limit(limit, max(0, limit - used))
    return None
