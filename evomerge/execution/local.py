"""The executor of worker processes on this machine: who gets which job, and who is replaced.

Workers are spawned, never forked, and share the sources' memory maps. A worker that ends costs the
job in hand one attempt; a job past its time limit costs its worker. A worker that is silent though
its process uses no processor time, as one that was stopped, counts as dead after ``silent_s``; one
whose C code keeps the interpreter's lock while it computes doesn't. C code that sleeps with the
lock held for longer looks dead: raise ``silent_s`` for it.
"""

import atexit
import os
import pickle
import secrets
import tempfile
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import connection
from pathlib import Path
from typing import Any

from evomerge.errors import ExecutionError
from evomerge.execution.gpus import Group, gpu_groups, visible
from evomerge.execution.local_worker import ENDING_S, LocalWorker
from evomerge.execution.protocol import Failure, Job, Outcome, WorkerState
from evomerge.execution.registry import Crew, executor
from evomerge.recipes.declarations import Parameter

TRIES = 3
"""Workers in a row that can't be built before no more are tried."""

TICK_S = 0.5
"""Time between two looks at limits and silent workers."""

_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")


@executor(
    "local",
    parameters=[
        Parameter(
            "gpus",
            "list",
            "Numbers of the GPUs that workers are spread over; all visible ones if absent.",
        ),
        Parameter(
            "gpus_per_worker",
            "int",
            "GPUs that each worker sees; a model that is too large for one is spread over them.",
            default=1,
            low=1,
        ),
        Parameter(
            "silent_s",
            "float",
            "Seconds without a sign of life after which a worker that isn't computing is replaced.",
            default=60.0,
            low=2,
        ),
        Parameter(
            "start_s",
            "float",
            "Seconds that a worker has for loading its model and data.",
            default=1800.0,
            low=1,
        ),
    ],
)
class LocalExecutor:
    """Run candidates in worker processes on this machine, spread over its GPUs.

    Args:
        crew: What workers are built from.
        gpus: Numbers of the GPUs to use, as torch counts them; None for all.
        gpus_per_worker: GPUs that each worker sees; workers share GPUs where there are too few.
        silent_s: Time without a sign of life after which an idle process counts as dead.
        start_s: Limit of a worker's start.
    """

    def __init__(
        self,
        crew: Crew,
        *,
        gpus: Sequence[int] | None = None,
        gpus_per_worker: int = 1,
        silent_s: float = 60.0,
        start_s: float = 1800.0,
    ) -> None:
        self._crew = crew
        self._chosen_gpus, self._gpus_per_worker = gpus, gpus_per_worker
        self._silent_s, self._start_s = silent_s, start_s
        self._slots = crew.slots
        self._owner = 0
        self._token = secrets.token_hex(2)
        self._spec = b""
        self._folder = Path()
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._groups: Sequence[Group] = ()
        self._workers: list[LocalWorker] = []
        self._queue: deque[Job] = deque()
        self._finished: list[Outcome] = []
        self._gone: list[WorkerState] = []
        self._started = self._failed_builds = 0
        self._why_failed = ""
        self._retry_at = self._looked_at = 0.0

    @property
    def slots(self) -> int:
        """Workers that it is meant to have."""
        return self._slots

    def start(self) -> None:
        """Start all workers, which build at the same time; a second call does nothing.

        Raises:
            ExecutionError: A GPU that was asked for isn't there.
        """
        if self._owner:
            return
        device = str(getattr(self._crew.spec, "device", "auto"))
        self._groups = gpu_groups(self._chosen_gpus, self._gpus_per_worker, device)
        self._spec = pickle.dumps(self._crew.spec)
        if self._crew.folder is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="evomerge-workers-")
        self._folder = Path(self._scratch.name) if self._scratch else self._crew.folder or Path()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._owner = os.getpid()
        self._failed_builds = 0
        # Before multiprocessing's own hook, which would wait for the workers for ever.
        atexit.register(self.close)
        self._fill()

    def submit(self, job: Job) -> None:
        """Queue ``job``."""
        self._queue.append(job)

    def wait(self, timeout_s: float | None = None) -> list[Outcome]:
        """Return what has finished: at least one unless time runs out or nothing is queued.

        Raises:
            ExecutionError: No worker can be built.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        if self._queue:
            self.start()
        self._look(0.0)
        while not self._finished and self._has_jobs():
            if not self._workers and self._failed_builds >= TRIES:
                raise ExecutionError(
                    f"no worker could be built in {self._failed_builds} tries. The last one: "
                    f"{self._why_failed}"
                )
            left_s = TICK_S if deadline is None else min(TICK_S, deadline - time.monotonic())
            if left_s <= 0:
                break
            self._look(left_s)
        finished, self._finished = self._finished, []
        return finished

    def resize(self, slots: int) -> None:
        """Have ``slots`` workers from now on; those too many end after the job in hand.

        Raises:
            ExecutionError: ``slots`` is below 1.
        """
        if slots < 1:
            raise ExecutionError(f"got {slots} workers, expected at least 1.")
        self._slots = slots
        if not self._owner:
            return
        staying = [worker for worker in self._workers if not worker.leaving]
        order = ("starting", "idle", "busy")
        staying.sort(key=lambda worker: order.index(worker.state))
        surplus = staying[: max(0, len(staying) - slots)]
        for worker in surplus:
            worker.leaving = True
        self._dismiss([worker for worker in surplus if worker.job is None], "no longer wanted")
        self._fill()

    def workers(self) -> Sequence[WorkerState]:
        """Return the state of every worker; those that are gone are told once."""
        gone, self._gone = self._gone, []
        return [worker.picture() for worker in self._workers] + gone

    def close(self) -> None:
        """End all workers, those at work at once; queued jobs are dropped."""
        if self._owner != os.getpid():
            return  # a forked copy of the driver must leave the driver's workers alone
        atexit.unregister(self.close)
        self._queue.clear()
        self._dismiss(list(self._workers), "closed")
        self._finished.clear()
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None
        self._owner = 0

    def _has_jobs(self) -> bool:
        return bool(self._queue) or any(worker.job is not None for worker in self._workers)

    def _look(self, timeout_s: float) -> None:
        """Wait for news for at most ``timeout_s``, act on them, and hand out jobs."""
        self._hand_out()
        signs: dict[Any, LocalWorker] = {worker.pipe: worker for worker in self._workers}
        signs |= {worker.sentinel: worker for worker in self._workers}
        news = {signs[sign] for sign in connection.wait(list(signs), timeout_s)}
        now = time.monotonic()
        if now - self._looked_at >= TICK_S:
            self._looked_at = now
            news = set(self._workers)
        for worker in [worker for worker in self._workers if worker in news]:
            self._attend(worker)
        self._fill()
        self._hand_out()

    def _attend(self, worker: LocalWorker) -> None:
        """Take in what ``worker`` has to say, and give it up where that must be."""
        was_ready = worker.is_ready
        self._finished += [replace(o, devices=self._share(worker)) for o in worker.read()]
        if worker.is_ready and not was_ready:
            self._failed_builds = 0
        failure = worker.fault(
            time_limit_s=self._crew.time_limit_s, silent_s=self._silent_s, start_s=self._start_s
        )
        if failure is not None:
            self._give_up(worker, failure)
        elif worker.leaving and worker.job is None:
            self._dismiss([worker], "no longer wanted")

    def _give_up(self, worker: LocalWorker, failure: Failure) -> None:
        """Strike a worker that has ended off the list; the job in hand has failed."""
        self._workers.remove(worker)
        self._gone.append(worker.picture(worker.broken or failure.message))
        if worker.job is not None:
            self._finished.append(replace(worker.lose(failure), devices=self._share(worker)))
        if not worker.is_ready:
            self._failed_builds += 1
            self._why_failed = worker.broken or f"{failure.message}.\n{failure.detail}"
            self._retry_at = time.monotonic() + min(60.0, 2.0**self._failed_builds)

    def _fill(self) -> None:
        """Start workers that are missing.

        After some failed builds in a row only a crew that has a ready worker tries again.
        """
        if not self._owner:
            return
        missing = self._slots - sum(not worker.leaving for worker in self._workers)
        for worker in self._workers:
            if missing > 0 and worker.leaving:
                worker.leaving = False
                missing -= 1
        for _ in range(missing):
            if self._failed_builds >= TRIES and (
                time.monotonic() < self._retry_at
                or not any(worker.is_ready for worker in self._workers)
            ):
                return
            self._start_worker()

    def _start_worker(self) -> None:
        self._started += 1
        environment = {f"{name}_NUM_THREADS": str(self._crew.threads) for name in _THREADS}
        group: Group = ()
        if self._groups:
            taken = Counter(worker.gpus for worker in self._workers)
            group = min(self._groups, key=lambda group: taken[group])
            environment["CUDA_VISIBLE_DEVICES"] = visible(group)
        name = f"local-{self._token}-{self._started}"
        self._workers.append(LocalWorker(name, self._spec, self._folder, environment, group))

    def _share(self, worker: LocalWorker) -> float:
        """Return how many devices a worker holds; a GPU of several workers counts once."""
        return max(1, len(worker.gpus)) * min(1.0, (len(self._groups) or self._slots) / self._slots)

    def _hand_out(self) -> None:
        """Give queued jobs to idle workers, in order."""
        for worker in self._workers:
            if not self._queue:
                return
            if worker.state == "idle" and not worker.leaving:
                job = self._queue.popleft()
                if not worker.give(job):
                    self._queue.appendleft(job)

    def _dismiss(self, workers: Sequence[LocalWorker], reason: str) -> None:
        """End ``workers`` together."""
        for worker in workers:
            worker.end()
        deadline = time.monotonic() + ENDING_S
        for worker in workers:
            worker.join(deadline)
            self._workers.remove(worker)
            self._gone.append(worker.picture(reason))
