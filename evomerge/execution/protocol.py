"""What passes between a run and an executor: recipes, scores, answers. Free of torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evomerge.evaluation.conversation import Prompt, Reply
from evomerge.recipes.recipe import Recipe


@dataclass(frozen=True)
class BlockRef:
    """Block ``block`` of ``split`` of the evaluator ``task``."""

    task: str
    split: str
    block: int


@dataclass(frozen=True)
class Job:
    """Build one recipe and score it on some blocks, or let it answer a prompt.

    Args:
        candidate_id: Whose recipe it is.
        attempt: Counts from 1; the fencing token.
        recipe: What to build.
        blocks: What to score, in order.
        keep_answers: Return the models' answers too.
        prompt: What is answered; there are no blocks then, and nothing counts for the search.
    """

    candidate_id: str
    attempt: int
    recipe: Recipe
    blocks: Sequence[BlockRef]
    keep_answers: bool = False
    prompt: Prompt | None = None


@dataclass(frozen=True)
class BlockScores:
    """Scores of one block.

    Args:
        ref: Which block.
        values: Metric → per-example values, shape ``(n, width)``, float64.
        answers: One an example where they were asked for.
    """

    ref: BlockRef
    values: Mapping[str, NDArray[np.float64]]
    answers: Sequence[str | None] | None = None


LOST = "died"
"""Kind of a failure that is the worker's, not the candidate's: the run tries it again."""


@dataclass(frozen=True)
class Failure:
    """Why an attempt gave no scores.

    Args:
        kind: ``exception``, ``nan``, ``memory``, ``timeout``, or ``died`` (``LOST``): the worker
            ended, by a signal or with its node.
        message: One line; identical causes give identical lines.
        detail: Traceback; of a worker that ended, its exit, its memory and its last log lines.
    """

    kind: str
    message: str
    detail: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a job. Seconds are of a monotonic clock.

    Args:
        job: The job.
        scores: One entry a block; empty where it failed.
        failure: Set where it failed.
        merge_s: Building the candidate in the resident model.
        score_s: Forward passes and metrics.
        tokenise_s: Building and tokenising requests, once a worker and task; not in ``score_s``.
        wait_s: The worker had nothing to do before this job.
        busy_s: From handing the job to the worker to having its result: the rest is overhead.
        devices: Devices that the worker holds, whose time counts so many times.
        worker: Who did it.
        numeric_class: What decided the worker's rounding; empty for the run's own.
        notes: What was unusual, such as ``{"batch": "halved to 8"}``.
        reply: What the model said, where the job was a prompt.
    """

    job: Job
    scores: Sequence[BlockScores] = ()
    failure: Failure | None = None
    merge_s: float = 0.0
    score_s: float = 0.0
    tokenise_s: float = 0.0
    wait_s: float = 0.0
    busy_s: float = 0.0
    devices: float = 1.0
    worker: str = ""
    numeric_class: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    reply: Reply | None = None


class JobRunner(Protocol):
    """A worker, as an executor sees it."""

    def run(self, job: Job) -> Outcome:
        """Carry out ``job``; failures are part of the outcome, nothing but Ctrl-C is raised."""


class RunnerSpec(Protocol):
    """What a worker is built from: plain data that travels to another process."""

    def build(self) -> JobRunner:
        """Build the worker.

        Raises:
            EvomergeError: It can't be built; the message says why.
        """


@dataclass(frozen=True)
class WorkerState:
    """What a worker does just now.

    Args:
        name: Unique in a run; the same as in ``Outcome.worker``.
        node: Machine that it is on; empty where that isn't known yet.
        device: Torch device.
        state: ``waiting`` (for room in the cluster), ``starting``, ``idle``, ``busy`` or ``gone``.
        candidate_id, attempt: What it works on.
        since_s: Seconds that it has been in this state.
        jobs: Jobs done.
        busy_s, alive_s: Seconds of work, and since it was ready.
        memory_bytes: Resident memory at its last sign of life; 0 if unknown.
        reason: Why it is gone.
    """

    name: str
    node: str
    device: str
    state: str
    candidate_id: str | None = None
    attempt: int | None = None
    since_s: float = 0.0
    jobs: int = 0
    busy_s: float = 0.0
    alive_s: float = 0.0
    memory_bytes: int = 0
    reason: str = ""


class Executor(Protocol):
    """Evaluates jobs somewhere.

    It never repeats a job: each gets exactly one outcome, a job whose worker ended one of kind
    ``died``, a job past the time limit (its worker is killed) one of kind ``timeout``. Workers that
    end are replaced. Methods are called from one thread.
    """

    @property
    def slots(self) -> int:
        """Workers that it is meant to have."""

    def start(self) -> None:
        """Acquire workers; a second call does nothing.

        Raises:
            ExecutionError: There can't be any.
        """

    def submit(self, job: Job) -> None:
        """Queue ``job``; workers take jobs in this order."""

    def wait(self, timeout_s: float | None = None) -> list[Outcome]:
        """Return what has finished: at least one unless time runs out or nothing is queued.

        Raises:
            ExecutionError: No worker can be built any more; the message names the cause.
        """

    def resize(self, slots: int) -> None:
        """Have ``slots`` workers from now on; those too many end after the job in hand."""

    def workers(self) -> Sequence[WorkerState]:
        """Return the state of every worker; those that are gone are told once."""

    def close(self) -> None:
        """Release workers; queued jobs are dropped and running ones are cut off."""
