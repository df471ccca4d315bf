"""Points at which a test may kill the process, as a power cut would.

Off unless the environment variable ``EVOMERGE_FAILPOINT`` holds a number N: then the N-th point
that the process passes ends it with SIGKILL. ``EVOMERGE_FAILPOINT=count`` only counts.
"""

import os
import signal

VARIABLE = "EVOMERGE_FAILPOINT"
_passed: list[str] = []


def failpoint(name: str) -> None:
    """Pass the point ``name``; die here if it is the one that the environment asks for."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    _passed.append(name)
    if wanted.isdigit() and len(_passed) == int(wanted):
        os.kill(os.getpid(), signal.SIGKILL)


def passed() -> tuple[str, ...]:
    """Return the names of the points that this process passed while they were on, in order."""
    return tuple(_passed)
