"""What an actor does: it keeps one worker process on its node and tells the driver how that fares.

The actor is as idle as the local executor's driver is: the worker's own process merges and scores.
So its exit signal, its memory and its last words are known, and a hang in C code is seen.
"""

import importlib.metadata
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from multiprocessing import connection
from pathlib import Path

from evomerge.errors import ExecutionError
from evomerge.execution.local_worker import ENDING_S, LocalWorker
from evomerge.execution.protocol import Failure, Job, Outcome, WorkerState

TICK_S = 0.5
"""Time between two looks at the worker's limits."""


@dataclass(frozen=True)
class HostSettings:
    """What all hosts of an executor have in common.

    Args:
        spec: The pickled RunnerSpec.
        folder: Where logs lie, if the node has it; None for a folder of the node's own.
        directory: The driver's working folder, gone to if the node has it; None to stay.
        environment: What the workers' environment has besides the node's.
        time_limit_s: Limit of a job.
        silent_s: Time without a sign of life after which a worker that isn't computing is dead.
        start_s: Limit of a worker's start.
    """

    spec: bytes
    folder: Path | None
    directory: Path | None
    environment: Mapping[str, str]
    time_limit_s: float | None
    silent_s: float
    start_s: float


@dataclass(frozen=True)
class Greeting:
    """Where an actor has found room.

    Args:
        node_id: Ray's name of the node.
        node: Its host name.
        version: evomerge's version there.
    """

    node_id: str
    node: str
    version: str


@dataclass(frozen=True)
class Report:
    """What a worker is doing.

    Args:
        state: As the host sees it: starting, idle or busy.
        step: What it is doing within its job.
        last_lines: Of its log; None where there are no new ones.
        outcomes: Of the job that has ended, if one has.
        failure: Set where the worker has ended.
        broken: Why it couldn't be built, where that is how it ended.
        refused: The job that came with the call wasn't begun.
    """

    state: WorkerState
    step: str = ""
    last_lines: tuple[str, ...] | None = None
    outcomes: tuple[Outcome, ...] = ()
    failure: Failure | None = None
    broken: str = ""
    refused: bool = False


class Host:
    """One worker process and its limits; its methods are called one after the other.

    Args:
        settings: What all hosts have in common.
    """

    def __init__(self, settings: HostSettings) -> None:
        self._settings = settings
        self._worker: LocalWorker | None = None
        self._log_size = 0
        if settings.directory is not None and settings.directory.is_dir():
            os.chdir(settings.directory)
        folder = settings.folder
        if folder is None or not folder.is_dir():
            folder = Path(tempfile.mkdtemp(prefix="evomerge-workers-"))
        self._folder = folder
        # Else the spawned worker would run Ray's start-up script, which imports all of Ray.
        vars(sys.modules["__main__"]).pop("__file__", None)

    def greet(self) -> Greeting:
        """Say where this is."""
        import ray

        return Greeting(
            node_id=ray.get_runtime_context().get_node_id(),
            node=platform.node(),
            version=importlib.metadata.version("evomerge"),
        )

    def begin(self, name: str, listen_s: float) -> Report:
        """Start the worker ``name``, in place of one that has ended, and listen to it."""
        self._worker = LocalWorker(
            name, self._settings.spec, self._folder, self._settings.environment, _gpus()
        )
        self._log_size = 0
        return self.listen(listen_s)

    def work(self, job: Job, listen_s: float) -> Report:
        """Give ``job`` to the worker and listen to it."""
        report = self.listen(0.0)
        if report.failure is None and not self._known().give(job):
            report = self.listen(0.0)
        if report.failure is not None:
            return replace(report, refused=True)
        return self.listen(listen_s)

    def listen(self, listen_s: float) -> Report:
        """Return when the worker has something to tell, at the latest after ``listen_s``."""
        worker = self._known()
        deadline = time.monotonic() + listen_s
        before = worker.state
        while True:
            left_s = max(0.0, min(TICK_S, deadline - time.monotonic()))
            connection.wait([worker.pipe, worker.sentinel], left_s)
            outcomes = tuple(worker.read())
            failure = worker.fault(
                time_limit_s=self._settings.time_limit_s,
                silent_s=self._settings.silent_s,
                start_s=self._settings.start_s,
            )
            if failure is not None:
                return self._ended(worker, failure, outcomes)
            if outcomes or worker.state != before or time.monotonic() >= deadline:
                lines = self._new_lines(worker)
                return Report(worker.picture(), worker.step, lines, outcomes)

    def end(self) -> None:
        """End the worker, an idle one in peace."""
        if self._worker is not None:
            self._worker.end()
            self._worker.join(time.monotonic() + ENDING_S)
            self._worker = None

    def _known(self) -> LocalWorker:
        if self._worker is None:
            raise ExecutionError("this host has no worker. Begin one first.")
        return self._worker

    def _ended(
        self, worker: LocalWorker, failure: Failure, outcomes: tuple[Outcome, ...]
    ) -> Report:
        """Report that the worker is no more."""
        self._worker = None
        step, lines = worker.step, self._new_lines(worker)
        if worker.job is not None:
            outcomes = (*outcomes, worker.lose(failure))
        broken = worker.broken
        if not broken and worker.state == "starting":
            broken = f"{failure.message}.\n{failure.detail}"
        state = worker.picture(worker.broken or failure.message)
        return Report(state, step, lines, outcomes, failure, broken)

    def _new_lines(self, worker: LocalWorker) -> tuple[str, ...] | None:
        """Return the log's last lines if there are new ones."""
        try:
            size = worker.log.stat().st_size
        except OSError:
            return None
        if size == self._log_size:
            return None
        self._log_size = size
        return tuple(worker.last_lines())


def _gpus() -> tuple[int, ...]:
    """Return the GPUs that Ray gave this actor, as the node numbers them."""
    import ray

    ids = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
    return tuple(int(number) for number in ids if str(number).isdigit())
