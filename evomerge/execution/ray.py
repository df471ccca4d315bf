"""The executor of workers on a Ray cluster: who gets which job, who is replaced, and where.

Ray finds room for actors and tells when one is gone. All else is ours: jobs wait in the driver and
go to an actor only when it is free, none is ever repeated, and each actor keeps a worker process of
the ``local`` executor's kind, so that a worker's end is known as well as on one machine.
"""

import math
import pickle
import secrets
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evomerge.errors import ExecutionError
from evomerge.execution.local_worker import ENDING_S
from evomerge.execution.protocol import LOST, Job, Outcome, WorkerState
from evomerge.execution.ray_cluster import Cluster
from evomerge.execution.ray_host import Greeting, HostSettings, Report
from evomerge.execution.ray_nodes import NOWHERE, Trust
from evomerge.execution.ray_seats import Seat, Seats, demand_of, share
from evomerge.execution.ray_worker import UNWANTED, RayWorker
from evomerge.execution.registry import Crew, executor
from evomerge.recipes.declarations import Parameter

TICK_S = 0.5
"""Time between two looks at the head and at silent workers."""

LISTEN_S = 2.0
"""Time after which a worker at work gives a sign of life; more where there are very many."""

IDLE_S = 5.0
"""Time between two questions to an idle worker."""

READ_S = 30.0
"""Limit of fetching an answer that has come."""

RETRY_S = 60.0
"""Time between two tries where workers can't be had but some are ready."""

_NODE_DIED = "its node has died"
"""Part of Ray's message on an actor whose node went."""

_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")


@executor(
    "ray",
    parameters=[
        Parameter(
            "address",
            "str",
            "Cluster: auto, HOST:PORT or ray://HOST:PORT; a new one on this machine if absent.",
        ),
        Parameter("cpus", "float", "Processors of a worker; its threads if absent.", low=0),
        Parameter(
            "gpus", "float", "GPUs of a worker: a fraction of one, or several.", default=0.0, low=0
        ),
        Parameter("resources", "mapping", "Ray's own resources of a worker, name: amount."),
        Parameter("memory_gb", "float", "Memory that a node must have free for a worker.", low=0),
        Parameter("runtime_env", "mapping", "Ray's runtime_env of the workers, such as env_vars."),
        Parameter(
            "silent_s",
            "float",
            "Seconds without a sign of life after which a worker, or the cluster, counts as gone.",
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
class RayExecutor:
    """Run candidates on a Ray cluster; nodes may join and leave during the run.

    Args:
        crew: What workers are built from.
        address: Where the cluster is; None for one on this machine that ends with the run.
        cpus: Processors of a worker; None for the crew's threads.
        gpus: GPUs of a worker.
        resources: Further resources, as the cluster's nodes declare them.
        memory_gb: Memory that Ray sets aside for a worker.
        runtime_env: Ray's description of the workers' environment.
        silent_s: Time without a sign of life after which something counts as gone.
        start_s: Limit of a worker's start.

    Raises:
        ExecutionError: The settings don't fit.
    """

    def __init__(
        self,
        crew: Crew,
        *,
        address: str | None = None,
        cpus: float | None = None,
        gpus: float = 0.0,
        resources: Mapping[str, float] | None = None,
        memory_gb: float | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        silent_s: float = 60.0,
        start_s: float = 1800.0,
    ) -> None:
        self._crew = crew
        self._slots = crew.slots
        self._silent_s, self._start_s = silent_s, start_s
        self._demand = demand_of(crew.threads if cpus is None else cpus, gpus, resources, memory_gb)
        self._runtime_env = dict(runtime_env or {})
        self._address = address
        self._cluster: Cluster | None = None
        self._trust = Trust()
        self._seats: Seats | None = None
        self._token = secrets.token_hex(2)
        self._started = 0
        self._workers: list[RayWorker] = []
        self._spare: list[Seat] = []
        self._queue: deque[Job] = deque()
        self._finished: list[Outcome] = []
        self._gone: list[WorkerState] = []
        self._looked_at = 0.0
        self._retry_at = 0.0

    @property
    def slots(self) -> int:
        """Workers that it is meant to have."""
        return self._slots

    def start(self) -> None:
        """Connect and ask for all workers; a second call does nothing.

        Raises:
            ExecutionError: There is no such cluster.
        """
        if self._cluster is not None:
            return
        if self._crew.folder is not None:
            self._crew.folder.mkdir(parents=True, exist_ok=True)
        cluster = Cluster(self._address, self._demand, slots=self._slots, silent_s=self._silent_s)
        cluster.connect()
        self._cluster = cluster
        self._trust = Trust()
        self._seats = Seats(self._demand, self._runtime_env, share(self._host_settings()))
        self._fill()

    def submit(self, job: Job) -> None:
        """Queue ``job``."""
        self._queue.append(job)

    def wait(self, timeout_s: float | None = None) -> list[Outcome]:
        """Return what has finished: at least one unless time runs out or nothing is queued.

        Raises:
            ExecutionError: No worker can be built, or the cluster is gone.
        """
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        if self._queue:
            self.start()
        if self._cluster is not None:
            self._look(0.0)
        while not self._finished and self._has_jobs():
            self._check_hope()
            left_s = min(TICK_S, deadline - time.monotonic())
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
        if self._cluster is None:
            return
        staying = [worker for worker in self._workers if not worker.leaving]
        order = ("waiting", "starting", "idle", "busy")
        staying.sort(key=lambda worker: order.index(worker.state))
        for worker in staying[: max(0, len(staying) - slots)]:
            self._send_off(worker, UNWANTED)
        self._fill()

    def workers(self) -> Sequence[WorkerState]:
        """Return the state of every worker; those that are gone are told once."""
        gone, self._gone = self._gone, []
        return [worker.picture() for worker in self._workers] + gone

    def close(self) -> None:
        """End all workers, those at work at once; queued jobs are dropped."""
        self._queue.clear()
        if self._cluster is None:
            return
        cluster, self._cluster = self._cluster, None
        answers = cluster.answers()
        if answers:
            self._let_end()
        for seat in [*(worker.seat for worker in self._workers), *self._spare]:
            if answers:
                seat.release()
            seat.forget()
        for worker in self._workers:
            worker.call = None
        self._gone += [worker.picture("closed") for worker in self._workers]
        self._workers.clear()
        self._spare.clear()
        self._finished.clear()
        self._seats = None
        cluster.close()

    def _has_jobs(self) -> bool:
        return bool(self._queue) or any(worker.job is not None for worker in self._workers)

    def _check_hope(self) -> None:
        """Raise if no worker can be had any more."""
        assert self._cluster is not None
        if any(worker.state != "waiting" for worker in self._workers):
            return
        trust = self._trust
        if trust.keeps_failing(NOWHERE) or (
            trust.excluded and not self._cluster.usable(list(trust.excluded))
        ):
            raise ExecutionError(
                f"no worker can be had on the Ray cluster at {self._cluster.name}. The last one: "
                f"{trust.why_failed or 'see why its nodes are left out.'}"
            )

    def _look(self, timeout_s: float) -> None:
        """Wait for answers for at most ``timeout_s``, act on them, and hand out jobs."""
        self._hand_out()
        for worker in self._that_answered(timeout_s):
            if worker in self._workers:
                self._attend(worker)
        if time.monotonic() - self._looked_at >= TICK_S:
            self._looked_at = time.monotonic()
            self._check_head()
            for worker in list(self._workers):
                self._check_silence(worker)
        self._fill()
        self._hand_out()

    def _that_answered(self, timeout_s: float) -> list[RayWorker]:
        """Wait for answers for at most ``timeout_s`` and return whose have come."""
        import ray

        calls = {worker.call: worker for worker in self._workers if worker.call is not None}
        if not calls:
            time.sleep(timeout_s)
            return []
        done, left = ray.wait(list(calls), timeout=timeout_s)
        if done and left:
            done += ray.wait(left, num_returns=len(left), timeout=0)[0]
        return [calls[call] for call in done]

    def _attend(self, worker: RayWorker) -> None:
        """Take in an answer of ``worker`` and ask it the next thing."""
        import ray

        call, worker.call = worker.call, None
        try:
            answer = ray.get(call, timeout=READ_S)
        except Exception as error:  # noqa: BLE001  whatever it is, this actor can't be used
            self._lose(worker, error)
            return
        if isinstance(answer, Greeting):
            self._greeted(worker, answer)
        else:
            self._told(worker, answer)

    def _greeted(self, worker: RayWorker, greeting: Greeting) -> None:
        """Start the process of a worker that has found room."""
        worker.seat.greeting = greeting
        ours = version("evomerge")
        if self._trust.is_excluded(greeting.node_id):
            self._strike_off(worker, self._trust.excluded[greeting.node_id])
        elif greeting.version != ours:
            why = (
                f"node {greeting.node} has evomerge {greeting.version} and the driver {ours}. "
                "Install the same version on all nodes."
            )
            self._not_built(worker, why)
        elif worker.leaving:
            self._strike_off(worker, worker.leaving)
        else:
            worker.begin(self._listen_s)

    def _told(self, worker: RayWorker, report: Report) -> None:
        """Act on what a worker reports."""
        was_ready = worker.is_ready
        if report.refused and (job := worker.take_back()) is not None:
            self._queue.appendleft(job)
        candidate = worker.job.candidate_id if worker.job is not None else worker.name
        self._finished += [self._charged(outcome) for outcome in worker.take(report)]
        if report.failure is None:
            if worker.is_ready and not was_ready:
                self._trust.ready(worker.node_id)
            if report.outcomes:
                self._trust.finished(worker.node_id)
            if worker.state != "idle":
                worker.listen(self._listen_s)
            elif worker.leaving:
                self._strike_off(worker, worker.leaving)
        elif report.broken:
            self._not_built(worker, report.broken, keep_seat=True)
        else:
            reason = report.state.reason
            if report.failure.kind == LOST:
                reason += self._distrust(worker, candidate)
            self._strike_off(worker, reason, keep_seat=True)

    def _lose(self, worker: RayWorker, error: Exception) -> None:
        """Give up a worker whose actor is gone; the job in hand has failed."""
        assert self._cluster is not None
        text = str(error).strip() or type(error).__name__
        if worker.state == "waiting":
            if _NODE_DIED in text:  # says nothing of those to come
                self._strike_off(worker, "its node was lost before it had started")
            else:
                self._not_built(worker, " ".join(text.split()))
        elif self._cluster.has_lost(worker.node_id):
            self._give_up(worker, "the worker's node was lost", text)
        else:
            low = "low on memory" in text or "OutOfMemory" in type(error).__name__
            cause = "was ended by Ray, as its node ran out of memory," if low else "ended"
            self._give_up(worker, f"the worker's Ray actor {cause}", text, is_suspect=True)

    def _give_up(
        self, worker: RayWorker, message: str, detail: str, *, is_suspect: bool = False
    ) -> None:
        """Strike off a worker that can't be reached; its node may be at fault."""
        failure = worker.lost(message, detail)
        candidate = worker.job.candidate_id if worker.job is not None else worker.name
        if worker.job is not None:
            outcome = worker.finish(Outcome(worker.job, failure=failure))
            self._finished.append(self._charged(outcome))
        reason = failure.message
        if is_suspect:
            reason += self._distrust(worker, candidate)
        self._strike_off(worker, reason)

    def _not_built(self, worker: RayWorker, why: str, *, keep_seat: bool = False) -> None:
        """Strike off a worker that couldn't be built."""
        node_id = worker.node_id
        has_ready = any(other.node_id == node_id and other.is_ready for other in self._workers)
        reason = self._trust.not_built(node_id, why, has_ready=has_ready)
        if not reason and self._trust.keeps_failing(node_id):
            self._retry_at = time.monotonic() + RETRY_S
        self._strike_off(worker, why, keep_seat=keep_seat)
        if reason:
            self._leave(node_id, reason)

    def _distrust(self, worker: RayWorker, candidate: str) -> str:
        """Note that a worker ended on its node; return what follows from it, in words."""
        assert self._cluster is not None
        node_id = worker.node_id
        others = self._cluster.usable([*self._trust.excluded, node_id])
        reason = self._trust.ended(node_id, candidate, is_last=not others)
        if not reason:
            return ""
        self._leave(node_id, reason)
        return f"; its node is left out from now on: {reason}"

    def _leave(self, node_id: str, reason: str) -> None:
        """Let the workers on a node end after the job in hand."""
        for worker in list(self._workers):
            if worker.node_id == node_id:
                self._send_off(worker, f"its node is left out: {reason}")

    def _send_off(self, worker: RayWorker, reason: str) -> None:
        """Let ``worker`` end after the job in hand."""
        worker.leaving = reason
        if worker.job is None:
            self._strike_off(worker, reason)

    def _strike_off(self, worker: RayWorker, reason: str, *, keep_seat: bool = False) -> None:
        """Take ``worker`` off the list; its seat goes to the next one or back to the cluster."""
        if worker not in self._workers:
            return  # it left with its node
        self._workers.remove(worker)
        self._gone.append(worker.picture(reason))
        if keep_seat and not self._trust.is_excluded(worker.node_id):
            self._spare.append(worker.seat)
        else:
            worker.seat.release()

    def _check_head(self) -> None:
        """Raise if the cluster has been gone for too long; what has finished is told before."""
        assert self._cluster is not None
        if self._cluster.answers() or self._finished:
            return
        since = self._cluster.silent_since
        if since is not None and time.monotonic() - since > self._silent_s:
            raise ExecutionError(
                f"the Ray cluster at {self._cluster.name} is gone: its head has not answered for "
                f"{self._silent_s:g} s. Start one, give its address, and go on with: "
                "evomerge resume"
            )

    def _check_silence(self, worker: RayWorker) -> None:
        """Give up a worker whose actor doesn't answer; ask one that is idle how it is."""
        asked_s = time.monotonic() - worker.asked_at
        if worker.call is None:
            if worker.state == "idle" and asked_s > IDLE_S:
                worker.listen(0.0)
        elif worker.state != "waiting" and asked_s > self._silent_s + self._listen_s:
            message = f"the worker's node gave no sign of life for {self._silent_s:g} s"
            self._give_up(worker, message, message, is_suspect=True)

    def _fill(self) -> None:
        """Ask for workers that are missing; seats that nobody needs go back."""
        if self._cluster is None:
            return
        missing = self._slots - sum(not worker.leaving for worker in self._workers)
        for worker in self._workers:
            if missing > 0 and worker.leaving == UNWANTED:
                worker.leaving = ""
                missing -= 1
        is_held = time.monotonic() < self._retry_at and any(w.is_ready for w in self._workers)
        if missing > 0 and not is_held and self._cluster.answers():
            for _ in range(missing):
                self._start_worker()
        while self._spare:
            self._spare.pop().release()

    def _start_worker(self) -> None:
        assert self._seats is not None
        self._started += 1
        seat = self._spare.pop() if self._spare else self._seats.ask(list(self._trust.excluded))
        worker = RayWorker(f"ray-{self._token}-{self._started}", seat)
        self._workers.append(worker)
        if seat.greeting is None:
            worker.greet()
        else:
            worker.begin(self._listen_s)

    def _hand_out(self) -> None:
        """Give queued jobs to idle workers, in order."""
        for worker in self._workers:
            if not self._queue:
                return
            if worker.state == "idle" and worker.call is None and not worker.leaving:
                worker.give(self._queue.popleft(), self._listen_s)

    def _let_end(self) -> None:
        """Let idle workers end in peace: they may write figures of the sources then."""
        import ray

        ends = [w.seat.actor.end.remote() for w in self._workers if w.state == "idle"]
        if ends:
            ray.wait(ends, num_returns=len(ends), timeout=ENDING_S + 1)

    @property
    def _listen_s(self) -> float:
        return max(LISTEN_S, self._slots / 32)

    def _charged(self, outcome: Outcome) -> Outcome:
        return replace(outcome, devices=self._demand.get("GPU", 1.0))

    def _host_settings(self) -> HostSettings:
        return HostSettings(
            spec=pickle.dumps(self._crew.spec),
            folder=self._crew.folder.absolute() if self._crew.folder is not None else None,
            directory=None if "working_dir" in self._runtime_env else Path.cwd(),
            environment={f"{name}_NUM_THREADS": str(self._crew.threads) for name in _THREADS},
            time_limit_s=self._crew.time_limit_s,
            silent_s=self._silent_s,
            start_s=self._start_s,
        )
