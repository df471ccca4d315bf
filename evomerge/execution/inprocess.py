"""The executor of one worker in this process: a job runs while somebody waits for it."""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from evomerge.execution.protocol import Job, Outcome


class JobRunner(Protocol):
    """What an executor needs of a worker."""

    def run(self, job: Job) -> Outcome:
        """Carry out ``job``; failures are part of the outcome, nothing but Ctrl-C is raised."""


class InprocessExecutor:
    """Runs jobs one after the other, in the order in which they were submitted.

    Args:
        worker_factory: Builds the worker when the executor starts; it may raise an EvomergeError.
    """

    def __init__(self, worker_factory: Callable[[], JobRunner]) -> None:
        self._worker_factory = worker_factory
        self._worker: JobRunner | None = None
        self._queue: deque[Job] = deque()

    def start(self) -> None:
        """Build the worker; a second call does nothing."""
        if self._worker is None:
            self._worker = self._worker_factory()

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
        return [self._worker.run(self._queue.popleft())]

    def close(self) -> None:
        """Drop queued jobs and the worker with its model."""
        self._queue.clear()
        self._worker = None
