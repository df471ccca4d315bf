"""One worker process as its executor sees it: started, given jobs, listened to, killed."""

import contextlib
import multiprocessing
import os
import pickle
import platform
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from multiprocessing import resource_tracker
from pathlib import Path

import psutil

from evomerge.execution.gpus import Group
from evomerge.execution.process import SPARED, Alive, Broken, Done, Message, Ready, work
from evomerge.execution.protocol import LOST, Failure, Job, Outcome, WorkerState

N_LINES = 30
"""Lines of its log that are told of a worker that ended."""

ENDING_S = 3.0
"""Time that an idle worker gets to end by itself."""

_SPAWN = multiprocessing.get_context("spawn")


class LocalWorker:
    """A worker's process. All times are of the monotonic clock.

    Args:
        name: Unique in a run.
        spec: The pickled RunnerSpec.
        folder: Where its log lies.
        environment: What its environment has besides this process's.
        gpus: Those that it sees, as torch numbers them here.
    """

    def __init__(
        self,
        name: str,
        spec: bytes,
        folder: Path,
        environment: Mapping[str, str],
        gpus: Group = (),
    ) -> None:
        self.name = name
        self.gpus = gpus
        self.log = folder / f"{name}.log"
        self.state = "starting"
        self.leaving = False
        self.broken = ""
        self.job: Job | None = None
        self._since = self._heard = time.monotonic()
        self._ready_at: float | None = None
        self._wait_s = self._busy_s = 0.0
        self._jobs = 0
        self._device = ""
        self._closed = False
        self._life = Alive("starting", 0, 0, 0.0)
        self.pipe, theirs = _SPAWN.Pipe(duplex=True)
        watched, self._lifeline = _SPAWN.Pipe(duplex=False)
        self._process = _SPAWN.Process(
            target=work, args=(theirs, watched, spec, self.log), name=name, daemon=False
        )
        with _shielded(), _environment(environment):
            self._process.start()
        self.sentinel = self._process.sentinel
        theirs.close()
        watched.close()

    @property
    def is_ready(self) -> bool:
        """It was built, and has not ended."""
        return self.state in ("idle", "busy")

    @property
    def step(self) -> str:
        """What it does within its job, by its last sign of life."""
        return self._life.step

    def last_lines(self) -> list[str]:
        """Return the last lines of its log."""
        return _tail(self.log)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None
        return self._process.pid

    def give(self, job: Job) -> bool:
        """Hand ``job`` to the worker, which is idle; False if it has just ended."""
        packed = pickle.dumps(job)
        waited_since, self._since = self._since, time.monotonic()  # the worker begins at once
        try:
            self.pipe.send_bytes(packed)
        except OSError:
            self._since, self._closed = waited_since, True
            return False
        self.state, self._wait_s = "busy", self._since - waited_since
        self._life = replace(self._life, step="working")
        self.job = job
        return True

    def read(self) -> Iterator[Outcome]:
        """Take in all messages that have come; outcomes are yielded."""
        while not self._closed and self.pipe.poll():
            try:
                message: Message = self.pipe.recv()
            except (EOFError, OSError):
                self._closed = True
                return
            self._heard = time.monotonic()
            if isinstance(message, Alive):
                self._life = message
            elif isinstance(message, Ready):
                self._device = message.device
                self._enter("idle")
                self._ready_at = self._since
            elif isinstance(message, Broken):
                self.broken = message.message
            elif isinstance(message, Done) and self.job is not None:
                yield self._finish(_unpickle(message.outcome, self.job))

    def fault(
        self, *, time_limit_s: float | None, silent_s: float, start_s: float
    ) -> Failure | None:
        """Return why the worker must be given up, None where it is sound; it is dead afterwards.

        Args:
            time_limit_s: Limit of a job.
            silent_s: Time without a sign of life that counts as a death.
            start_s: Limit of the start.
        """
        if self._closed or self._process.exitcode is not None:
            self.kill()
            return self._died(f"worker ended by {_ending(self._process.exitcode)}")
        now = time.monotonic()
        lasts = now - self._since
        if self.state == "busy" and time_limit_s is not None and lasts > time_limit_s:
            self.kill()
            message = f"no result after {time_limit_s:g} s while {self._life.step}"
            return Failure("timeout", message, self._account("cut off at the time limit"))
        if self.state == "starting" and lasts > start_s:
            self.kill()
            return self._died(f"worker wasn't ready after {start_s:g} s and was killed")
        if self.is_ready and now - self._heard > silent_s and not self._computes():
            self.kill()
            return self._died(f"worker gave no sign of life for {silent_s:g} s and was killed")
        return None

    def lose(self, failure: Failure) -> Outcome:
        """Return the outcome of the job in hand, which has failed."""
        assert self.job is not None
        return self._finish(Outcome(self.job, failure=failure))

    def end(self) -> None:
        """Ask the worker to end; one that isn't idle is killed."""
        if self.state != "idle":
            self.kill()
            return
        with contextlib.suppress(OSError):
            self.pipe.send_bytes(b"")

    def join(self, deadline: float) -> None:
        """Wait for the end until ``deadline``, then force it."""
        self._process.join(max(0.0, deadline - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """End the process and all that it has started, and wait for that."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()  # it may not lead a group yet
        self._process.join()
        self.pipe.close()
        self._lifeline.close()
        self._closed = True

    def picture(self, reason: str = "") -> WorkerState:
        """Return the worker's state; with a ``reason`` it is gone."""
        now = time.monotonic()
        device = self._device
        if self.gpus and device.startswith("cuda"):
            device = f"cuda:{','.join(map(str, self.gpus))}"
        busy_s = now - self._since if self.state == "busy" else 0.0
        return WorkerState(
            name=self.name,
            node=platform.node(),
            device=device,
            state="gone" if reason else self.state,
            candidate_id=self.job.candidate_id if self.job else None,
            attempt=self.job.attempt if self.job else None,
            since_s=0.0 if reason else now - self._since,
            jobs=self._jobs,
            busy_s=self._busy_s + busy_s,
            alive_s=0.0 if self._ready_at is None else now - self._ready_at,
            memory_bytes=self._life.memory_bytes,
            reason=reason,
        )

    def _enter(self, state: str) -> float:
        """Change the state and return how long the last one lasted."""
        now = time.monotonic()
        lasted, self._since = now - self._since, now
        self.state = state
        return lasted

    def _finish(self, outcome: Outcome) -> Outcome:
        """Note that the job in hand has ended and complete its outcome."""
        assert self.job is not None
        job, self.job = self.job, None
        busy_s = self._enter("idle")
        self._jobs += 1
        self._busy_s += busy_s
        return replace(outcome, job=job, worker=self.name, wait_s=self._wait_s, busy_s=busy_s)

    def _computes(self) -> bool:
        """Whether a silent process is at work: C code may keep its other threads from speaking."""
        try:
            times = psutil.Process(self.pid).cpu_times()
        except psutil.Error:
            return False
        used_s = times.user + times.system - self._life.cpu_s
        if used_s < 0.05 * (time.monotonic() - self._heard):
            return False
        self._heard = time.monotonic()
        self._life = replace(self._life, cpu_s=times.user + times.system)
        return True

    def _died(self, message: str) -> Failure:
        """Return the failure of a worker that has ended."""
        return Failure(LOST, f"{message} while {self._life.step}", self._account(message))

    def _account(self, message: str) -> str:
        """Return all that is known of a worker that has ended."""
        now = time.monotonic()
        mib = 1024 * 1024
        lines = [f"{self.name}: {message}"]
        if message.endswith("SIGKILL"):
            lines.append("From outside: by somebody, or by the kernel because memory ran out.")
        lines.append(
            f"resident memory {self._life.memory_bytes // mib} MiB at its last sign of life "
            f"{now - self._heard:.1f} s ago, {self._life.peak_bytes // mib} MiB at most"
        )
        last = _tail(self.log)
        if last:
            lines += [f"last lines of {self.log.name}:", *last]
        return "\n".join(lines)


def _unpickle(pickled: bytes, job: Job) -> Outcome:
    """Return the outcome in ``pickled``, a failure if that can't be read here."""
    try:
        outcome: Outcome = pickle.loads(pickled)
    except Exception as error:  # noqa: BLE001  reading may run any code
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return Outcome(job, failure=Failure("exception", f"unreadable outcome: {text}"))
    return outcome


def _ending(exitcode: int | None) -> str:
    """Return ``SIGKILL`` or ``exit code 3``."""
    if exitcode is None or exitcode >= 0:
        return f"exit code {exitcode}"
    try:
        return signal.Signals(-exitcode).name
    except ValueError:
        return f"signal {-exitcode}"


def _tail(log: Path) -> list[str]:
    """Return the last lines of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16384))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return text.splitlines()[-N_LINES:]


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Have ``values`` in the environment that a process inherits: numpy reads them as it loads."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _shielded() -> Iterator[None]:
    """Start processes with the signals blocked that they ignore later on.

    Multiprocessing's own helper process is started here too: it would die of SIGUSR1.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SPARED)
    try:
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, SPARED)  # that one has let some through again
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
