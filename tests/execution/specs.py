"""Workers for tests of executors: free of torch, they do what a job's first task says.

A task is commands joined by ``;``: ``echo``, ``sleep 0.5``, ``print TEXT``, ``step TEXT``,
``steps 9`` (so many), ``raise``, ``signal 9``, ``exit 3``, ``segfault``, ``hold 2`` (seconds in C
with the interpreter's lock held, asleep), ``spin 2`` (the same at work), ``spawn 600`` (a process
that sleeps), ``unpicklable``, ``unreadable``.
"""

import ctypes
import os
import subprocess
import sys
import time
import timeit
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evomerge.errors import ModelError
from evomerge.evaluation.conversation import Reply
from evomerge.execution.protocol import BlockRef, BlockScores, Failure, Job, Outcome
from evomerge.recipes.recipe import Recipe

RECIPE = Recipe(sources=(), base="", stages=())


def job(name: str, commands: str = "echo", attempt: int = 1) -> Job:
    """Return the job of candidate ``name``."""
    return Job(name, attempt, RECIPE, [BlockRef(commands, "search", 0)])


def values(name: str) -> np.ndarray[Any, Any]:
    """Return what candidate ``name`` scores, shape ``(4, 1)``."""
    return np.random.default_rng(zlib.crc32(name.encode())).standard_normal((4, 1))


@dataclass(frozen=True)
class ActingSpec:
    """What an ``Actor`` is built from.

    Args:
        build_s: Time that building takes.
        error: Building raises a ModelError with this text.
        signal: Building ends the process by this signal.
        good: A file that, once there, lets building succeed; each build before adds a line to
            the file beside it called ``tries``.
        device: As a WorkerSpec's.
    """

    build_s: float = 0.0
    error: str = ""
    signal: int = 0
    good: Path | None = None
    device: str = "cpu"

    def build(self) -> "Actor":
        """Build the worker, or don't."""
        time.sleep(self.build_s)
        if self.good is not None:
            with (self.good.parent / "tries").open("a") as file:
                file.write("x\n")
            if self.good.exists():
                return Actor(device=self.device)
        if self.signal:
            print("dying while building", flush=True)
            os.kill(os.getpid(), self.signal)
        if self.error:
            raise ModelError(self.error)
        return Actor(device=self.device)


@dataclass
class Actor:
    """Does what jobs say."""

    device: str = "cpu"
    on_step: Callable[[str], None] | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    kept: Any = None

    def run(self, job: Job) -> Outcome:
        """Act, then return scores that only the candidate's name decides; prompts are repeated."""
        if job.prompt is not None:
            return Outcome(job, reply=Reply(job.prompt.messages[-1].content, 1))
        began = time.monotonic()
        ref = job.blocks[0]
        notes: dict[str, Any] = {**self.notes, "pid": str(os.getpid()), "threads": _threads()}
        notes["gpus"] = os.environ.get("CUDA_VISIBLE_DEVICES", "unset")
        for command in ref.task.split(";"):
            word, _, rest = command.strip().partition(" ")
            if word == "raise":
                return Outcome(job, failure=Failure("exception", f"told to fail: {rest}"))
            if word == "unpicklable":
                notes["odd"] = lambda: None
            elif word == "unreadable":
                notes["odd"] = Unreadable()
            else:
                self._act(word, rest)
        notes["seconds"] = str(time.monotonic() - began)
        scores = [BlockScores(ref, {"score": values(job.candidate_id)})]
        return Outcome(job, scores, merge_s=0.25, score_s=0.5, notes=notes)

    def _act(self, word: str, rest: str) -> None:
        if word == "sleep":
            time.sleep(float(rest))
        elif word == "print":
            print(rest)
        elif word == "step" and self.on_step is not None:
            self.on_step(rest)
        elif word == "steps" and self.on_step is not None:
            for number in range(int(rest)):
                self.on_step(f"step {number}")
        elif word == "signal":
            os.kill(os.getpid(), int(rest))
            time.sleep(5)
        elif word == "exit":
            sys.stdout.flush()
            os._exit(int(rest))
        elif word == "segfault":
            ctypes.string_at(0)
        elif word == "hold":
            ctypes.PyDLL(None).usleep(int(1e6 * float(rest)))
        elif word == "spawn":
            print("spawned", subprocess.Popen(["sleep", rest]).pid)
        elif word == "spin":
            _spin(float(rest))


@dataclass(frozen=True)
class MappingSpec:
    """An actor that has a model's tensors in its memory, all read once; not free of torch.

    Args:
        folder: The model.
    """

    folder: Path

    def build(self) -> "Actor":
        """Build the worker."""
        import psutil

        from evomerge.models.checkpoint import Checkpoint

        checkpoint = Checkpoint.open(self.folder)
        name = next(iter(checkpoint.tensors))
        checkpoint.read(name)[:1].sum()
        before = psutil.Process().memory_full_info()
        notes = {"rss_before": str(before.rss), "uss_before": str(before.uss)}
        actor = Actor(notes=notes)
        actor.kept = [
            (tensor, float(tensor.sum())) for tensor in map(checkpoint.read, checkpoint.tensors)
        ]
        return actor


class Unreadable:
    """Can be pickled, and never unpickled."""

    def __reduce__(self) -> Any:
        return int, ("not a number",)


def _spin(seconds: float) -> None:
    """Work in one C call, which gives other threads no moment.

    The best of several measurements sets its length, so that a hiccup can't make it too short.
    """
    per_million = min(timeit.repeat(lambda: sum(range(1_000_000)), number=1, repeat=10))
    sum(range(int(1_000_000 * seconds / per_million)))


def _threads() -> str:
    return " ".join(
        os.environ.get(f"{name}_NUM_THREADS", "unset") for name in ("OMP", "OPENBLAS", "MKL")
    )
