"""Ends tests' runs half-way: by leaving their driver, or in processes that are killed."""

import os
from collections.abc import Callable

from evomerge.runs.driver.loop import Run


def drive_to(run: Run, n: int) -> None:
    """Drive until ``n`` candidates are done in all, then leave, as a killed process does."""
    for event in run.drive():
        progress = getattr(event, "progress", None)
        if progress is not None and progress.evaluated >= n:
            return


def in_child(work: Callable[[], None]) -> int:
    """Run ``work`` in a forked process; return its exit code, or minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)
