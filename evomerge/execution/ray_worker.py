"""One worker on a Ray cluster as the driver sees it: its actor, its job, what it last told."""

import time
from dataclasses import replace
from typing import Any

from evomerge.execution.protocol import LOST, Failure, Job, Outcome, WorkerState
from evomerge.execution.ray_host import Report
from evomerge.execution.ray_seats import Seat

UNWANTED = "no longer wanted"
"""Why a worker leaves when there are to be fewer."""


class RayWorker:
    """A worker. All times are of the driver's monotonic clock.

    Args:
        name: Unique in a run.
        seat: Where it works; nobody else's.
    """

    def __init__(self, name: str, seat: Seat) -> None:
        self.name = name
        self.seat = seat
        self.state = "waiting"
        self.leaving = ""
        self.job: Job | None = None
        self.call: Any = None
        self.asked_at = self._since = time.monotonic()
        self._ready_at: float | None = None
        self._told: WorkerState | None = None
        self._step = "starting"
        self._last_lines: tuple[str, ...] = ()
        self._wait_s = self._busy_s = 0.0
        self._jobs = 0

    @property
    def node_id(self) -> str:
        """Ray's name of its node, empty until it has room."""
        return self.seat.greeting.node_id if self.seat.greeting is not None else ""

    @property
    def is_ready(self) -> bool:
        """It was built, and has not ended."""
        return self.state in ("idle", "busy")

    def greet(self) -> None:
        """Ask the actor to answer as soon as it has room."""
        self._ask("greet")

    def begin(self, listen_s: float) -> None:
        """Have the worker process started."""
        self.enter("starting")
        self._ask("begin", self.name, listen_s)

    def give(self, job: Job, listen_s: float) -> None:
        """Hand ``job`` to the worker, which is idle."""
        self._wait_s = self.enter("busy")
        self._step = "working"
        self.job = job
        self._ask("work", job, listen_s)

    def listen(self, listen_s: float) -> None:
        """Ask for news."""
        self._ask("listen", listen_s)

    def take(self, report: Report) -> list[Outcome]:
        """Note what the worker has told; return the outcome of the job that has ended."""
        if report.last_lines is not None:
            self._last_lines = report.last_lines
        self._told, self._step = report.state, report.step
        finished = [self.finish(outcome) for outcome in report.outcomes]
        if self.state == "starting" and report.state.state == "idle":
            self.enter("idle")
            self._ready_at = self._since
        return finished

    def take_back(self) -> Job | None:
        """Return the job in hand, which was never begun."""
        job, self.job = self.job, None
        return job

    def finish(self, outcome: Outcome) -> Outcome:
        """Note that the job in hand has ended and complete its outcome."""
        assert self.job is not None
        job, self.job = self.job, None
        busy_s = self.enter("idle")
        self._jobs += 1
        self._busy_s += busy_s
        return replace(outcome, job=job, worker=self.name, wait_s=self._wait_s, busy_s=busy_s)

    def lost(self, message: str, detail: str) -> Failure:
        """Return the failure of a worker whose actor is gone: what was last heard from it."""
        memory = self._told.memory_bytes // 2**20 if self._told is not None else 0
        lines = [
            f"{self.name}: {detail}",
            f"resident memory {memory} MiB at its last sign of life",
        ]
        if self._last_lines:
            lines += ["last lines of its log:", *self._last_lines]
        return Failure(LOST, f"{message} while {self._step}", "\n".join(lines))

    def enter(self, state: str) -> float:
        """Change the state and return how long the last one lasted."""
        now = time.monotonic()
        lasted, self._since = now - self._since, now
        self.state = state
        return lasted

    def picture(self, reason: str = "") -> WorkerState:
        """Return the worker's state; with a ``reason`` it is gone."""
        now = time.monotonic()
        told, greeting = self._told, self.seat.greeting
        busy_s = now - self._since if self.state == "busy" else 0.0
        return WorkerState(
            name=self.name,
            node=greeting.node if greeting is not None else "",
            device=told.device if told is not None else "",
            state="gone" if reason else self.state,
            candidate_id=self.job.candidate_id if self.job else None,
            attempt=self.job.attempt if self.job else None,
            since_s=0.0 if reason else now - self._since,
            jobs=self._jobs,
            busy_s=self._busy_s + busy_s,
            alive_s=0.0 if self._ready_at is None else now - self._ready_at,
            memory_bytes=told.memory_bytes if told is not None else 0,
            reason=reason,
        )

    def _ask(self, method: str, *arguments: object) -> None:
        """Call a method of the actor; its answer comes through ``call``."""
        self.asked_at = time.monotonic()
        self.call = getattr(self.seat.actor, method).remote(*arguments)
