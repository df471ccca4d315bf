"""What passes between a run and an executor: recipes and scores. Free of torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evomerge.recipes.recipe import Recipe


@dataclass(frozen=True)
class BlockRef:
    """Block ``block`` of ``split`` of the evaluator ``task``."""

    task: str
    split: str
    block: int


@dataclass(frozen=True)
class Job:
    """Build one recipe and score it on some blocks.

    Args:
        candidate_id: Whose recipe it is.
        attempt: Counts from 1; the fencing token.
        recipe: What to build.
        blocks: What to score, in order.
        keep_answers: Return the models' answers too.
    """

    candidate_id: str
    attempt: int
    recipe: Recipe
    blocks: Sequence[BlockRef]
    keep_answers: bool = False


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


@dataclass(frozen=True)
class Failure:
    """Why an attempt gave no scores.

    Args:
        kind: ``exception``, ``nan``, ``memory``, ``timeout``, ``died``.
        message: One line; identical causes give identical lines.
        detail: Traceback or last log lines.
    """

    kind: str
    message: str
    detail: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Args:
        job: The job.
        scores: One entry a block; empty where it failed.
        failure: Set where it failed.
        merge_s, score_s: Seconds spent building and scoring.
        worker: Who did it.
    """

    job: Job
    scores: Sequence[BlockScores] = ()
    failure: Failure | None = None
    merge_s: float = 0.0
    score_s: float = 0.0
    worker: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)


class Executor(Protocol):
    """Evaluates jobs somewhere."""

    def start(self) -> None:
        """Acquire workers; a second call does nothing."""

    def submit(self, job: Job) -> None:
        """Queue ``job``."""

    def wait(self, timeout_s: float | None = None) -> list[Outcome]:
        """Return what has finished: at least one unless time runs out or nothing is queued."""

    def close(self) -> None:
        """Release workers; queued jobs are dropped."""
