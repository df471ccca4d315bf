"""The executor of one worker in this process: a job runs while somebody waits for it."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from evomerge.errors import ExecutionError
from evomerge.execution.protocol import Job, JobRunner, Outcome, WorkerState
from evomerge.execution.registry import Crew, executor


@executor("inprocess")
class InprocessExecutor:
    """Run candidates in this process, one after the other.

    Nothing can be cut off: a hang hangs the run, and a crash ends it (its ledger goes on).

    Args:
        crew: What the worker is built from.
    """

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._worker: JobRunner | None = None
        self._queue: deque[Job] = deque()
        self._ready_at = self._idle_since = 0.0
        self._jobs = 0
        self._busy_s = 0.0

    @property
    def slots(self) -> int:
        """Always 1."""
        return 1

    def start(self) -> None:
        """Build the worker; a second call does nothing."""
        if self._worker is None:
            self._worker = self._crew.spec.build()
            self._ready_at = self._idle_since = time.monotonic()

    def submit(self, job: Job) -> None:
        """Queue ``job``."""
        self._queue.append(job)

    def wait(self, timeout_s: float | None = None) -> list[Outcome]:
        """Run the next job to its end and return its outcome; an empty queue gives none.

        A job in this process can't be interrupted, so ``timeout_s`` is not looked at.
        """
        if not self._queue:
            return []
        self.start()
        assert self._worker is not None
        began = time.monotonic()
        outcome = self._worker.run(self._queue.popleft())
        ended = time.monotonic()
        waited, self._idle_since = began - self._idle_since, ended
        self._jobs += 1
        self._busy_s += ended - began
        return [replace(outcome, wait_s=waited, busy_s=ended - began)]

    def resize(self, slots: int) -> None:
        """Refuse more than one worker.

        Raises:
            ExecutionError: ``slots`` isn't 1.
        """
        if slots != 1:
            raise ExecutionError(
                f"got {slots} workers, but the executor inprocess has one. Use the executor local."
            )

    def workers(self) -> Sequence[WorkerState]:
        """Return the one worker."""
        state = "idle" if self._worker is not None else "starting"
        alive_s = time.monotonic() - self._ready_at if self._worker is not None else 0.0
        return [
            WorkerState(
                name="inprocess",
                node="",
                device="",
                state=state,
                jobs=self._jobs,
                busy_s=self._busy_s,
                alive_s=alive_s,
            )
        ]

    def close(self) -> None:
        """Drop queued jobs and the worker with its model."""
        self._queue.clear()
        self._worker = None
