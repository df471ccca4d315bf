"""What runs in a worker's process: build the runner, carry out jobs, give signs of life.

The process must outlive the signals that a terminal or batch system sends to everybody (its driver
lets it finish) and must never outlive its driver, whatever it is doing.
"""

import contextlib
import faulthandler
import fcntl
import os
import pickle
import resource
import select
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from evomerge.errors import EvomergeError
from evomerge.execution.protocol import Failure, Job, JobRunner, Outcome, RunnerSpec

BEAT_S = 1.0
"""Time between two signs of life."""

SPARED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Signals that mean the driver: a worker finishes its job while the driver drains."""


@dataclass(frozen=True)
class Alive:
    """A sign of life.

    Args:
        step: What is being done.
        memory_bytes, peak_bytes: Resident memory, now and at its highest.
        cpu_s: Processor time used so far.
    """

    step: str
    memory_bytes: int
    peak_bytes: int
    cpu_s: float


@dataclass(frozen=True)
class Ready:
    """The runner is built and computes on ``device``."""

    device: str


@dataclass(frozen=True)
class Broken:
    """The runner can't be built; the process ends."""

    message: str


@dataclass(frozen=True)
class Done:
    """A job has ended; ``outcome`` is pickled, so that a broken one harms nothing else."""

    outcome: bytes


Message = Alive | Ready | Broken | Done


def work(pipe: Connection, lifeline: Connection, spec: bytes, log: Path) -> None:
    """Run the worker until the driver sends an empty message: the whole life of the process.

    Args:
        pipe: Pickled jobs come in, messages go out.
        lifeline: Never written to; that it closes means that the driver is no more.
        spec: The pickled RunnerSpec.
        log: File that gets all output.
    """
    _write_to(log)
    _die_with(lifeline)
    # Only now: until here they were blocked.
    for number in SPARED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SPARED)
    voice = _Voice(pipe)
    runner = _build(voice, spec)
    if runner is None:
        return
    if hasattr(runner, "on_step"):
        runner.on_step = voice.step
    voice.send(Ready(str(getattr(runner, "device", ""))))
    while True:
        try:
            order = pipe.recv_bytes()
        except (EOFError, OSError):
            os._exit(1)
        if not order:
            return  # and let figures of the sources be written at exit
        voice.step("working")
        voice.send(Done(_carry_out(runner, pickle.loads(order))))
        voice.step("waiting")


class _Voice:
    """Sends messages to the driver, and a sign of life every ``BEAT_S``.

    Args:
        pipe: Where they go.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self._step = "starting"
        self._room = select.poll()
        self._room.register(pipe.fileno(), select.POLLOUT)
        self._process = psutil.Process()
        self._driver = os.getppid()
        threading.Thread(target=self._beat, daemon=True).start()

    def send(self, message: Message) -> None:
        """Send ``message``; a driver that is gone ends the process."""
        try:
            with self._lock:
                # A driver that is busy elsewhere must not hold a job up: it hears of life later.
                if not isinstance(message, Alive) or self._room.poll(0):
                    self._pipe.send(message)
        except OSError:
            os._exit(1)

    def step(self, step: str) -> None:
        """Say what is being done from now on."""
        self._step = step
        self._say_alive()

    def _beat(self) -> None:
        while True:
            # Where the kernel doesn't know the lifeline, this is what ends an orphan.
            if os.getppid() != self._driver:
                os._exit(1)
            self._say_alive()
            time.sleep(BEAT_S)

    def _say_alive(self) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        unit = 1 if sys.platform == "darwin" else 1024
        memory = self._process.memory_info().rss
        self.send(Alive(self._step, memory, max(memory, unit * peak), time.process_time()))


def _build(voice: _Voice, pickled: bytes) -> JobRunner | None:
    """Build the runner, or tell why it can't be."""
    try:
        spec: RunnerSpec = pickle.loads(pickled)
        return spec.build()
    except EvomergeError as error:
        message = " ".join(str(error).split())
    except Exception as error:  # noqa: BLE001  told to the driver, with its traceback in the log
        message = " ".join(f"{type(error).__name__}: {error}".split())
    traceback.print_exc()
    voice.send(Broken(message))
    return None


def _carry_out(runner: JobRunner, job: Job) -> bytes:
    """Run ``job`` and return its pickled outcome; what goes wrong on the way is a failure."""
    try:
        return pickle.dumps(runner.run(job))
    except Exception as error:  # noqa: BLE001  one candidate must not end the worker
        text = " ".join(f"{type(error).__name__}: {error}".split())
        detail = "".join(traceback.format_exception(error))
        return pickle.dumps(Outcome(job, failure=Failure("exception", text, detail)))


def _write_to(log: Path) -> None:
    """Send all output, that of C code too, to the file ``log``, line by line."""
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(target, descriptor)
    os.close(target)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # files by now
    faulthandler.enable()


def _die_with(lifeline: Connection) -> None:
    """Let the kernel kill this process and its children when the driver's end of a pipe closes.

    That works in the middle of C code, and unlike PR_SET_PDEATHSIG it doesn't depend on which of
    the driver's threads started the process.
    """
    os.setpgrp()
    descriptor = lifeline.fileno()
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC)
    if lifeline.poll():  # it closed before the kernel watched it
        os._exit(1)
