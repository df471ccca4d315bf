"""A lock for each job that goes with its process, however that ends.

The supervisor takes the lock before it begins a process and hands it over at birth. So while the
lock is held there is a process, and once it is free there is none: whoever dies, and when.
"""

import fcntl
import os
from pathlib import Path


def try_lock(folder: Path, job_id: str) -> int | None:
    """Return the descriptor of the job's lock, or None where a process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / f"{job_id}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def is_locked(folder: Path, job_id: str) -> bool:
    """Say if a process holds the job's lock."""
    descriptor = try_lock(folder, job_id)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False
