"""Tasks that are formulas and a worker that sleeps: what a worker's own process has to import."""

import hashlib
import math
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.evaluation.protocol import Metric
from evomerge.execution.protocol import BlockScores, Job, JobRunner, Outcome
from evomerge.recipes.recipe import Recipe


def numbers_of(recipe: Recipe) -> NDArray[np.float64]:
    """Return all weights of ``recipe``, shape ``(d,)``."""
    found: list[float] = []
    for value in recipe.stages[0].parameters["weights"]:
        found += value["values"] if isinstance(value, Mapping) else [float(value)]
    return np.array(found)


@dataclass
class Formula:
    """A task whose examples are hit the more often, the closer all weights are to 0.3.

    Args:
        name: Its name.
        n: Examples of each split.
        block_size: Examples of a block.
    """

    name: str
    n: int = 100
    block_size: int = 32
    primary: str = "hit"
    metrics: Sequence[Metric] = (Metric("hit", binary=True),)

    def __post_init__(self) -> None:
        self._fingerprint = hashlib.sha256(repr(self).encode()).hexdigest()
        self._thresholds: dict[str, NDArray[np.float64]] = {}

    def fingerprint(self) -> str:
        """Return a hash of its settings."""
        return self._fingerprint

    def n_examples(self, split: str) -> int:
        """Return the number of examples, equal in all splits."""
        return self.n

    def examples(self, split: str, indices: Sequence[int]) -> list[Any]:
        """Return nothing: there is no text."""
        return []

    def prepare(self, model: Any, split: str) -> Any:
        """Return nothing: there are no requests."""

    def score(self, model: Any, requests: Any, indices: Sequence[int]) -> list[Any]:
        """Give nothing: the worker takes ``hits``."""
        return []

    def aggregate(self, metric: str, values: NDArray[np.float64]) -> float:
        """Return the mean."""
        return float(values[:, 0].mean())

    def hits(self, recipe: Recipe, split: str) -> NDArray[np.float64]:
        """Return 0 or 1 an example, shape ``(n, 1)``; equal recipes give equal ones."""
        distance = math.sqrt(float(np.mean((numbers_of(recipe) - 0.3) ** 2)))
        if split not in self._thresholds:
            rng = np.random.default_rng(zlib.crc32(f"{self.name} {split}".encode()))
            self._thresholds[split] = rng.random((self.n, 1))
        return (self._thresholds[split] < math.exp(-distance)).astype(np.float64)


@dataclass(frozen=True)
class Durations:
    """How long each candidate takes: log-normal, decided by its id and the seed.

    Args:
        mean_s: Mean seconds; 0 for no time at all.
        spread: Ratio of the 95th to the 5th percentile.
        seed: Equal seeds give equal durations.
    """

    mean_s: float = 2.0
    spread: float = 5.0
    seed: int = 0

    def of(self, candidate_id: str) -> float:
        """Return the candidate's seconds."""
        if self.mean_s == 0:
            return 0.0
        sigma = math.log(self.spread) / (2 * 1.6448536269514722)
        rng = np.random.default_rng((self.seed, zlib.crc32(candidate_id.encode())))
        return float(self.mean_s * math.exp(sigma * rng.standard_normal() - sigma * sigma / 2))


@dataclass(frozen=True)
class SleeperSpec:
    """What a sleeping worker is built from; plain data that travels to another process."""

    tasks: tuple[Formula, ...]
    durations: Durations

    def build(self) -> JobRunner:
        """Build the worker."""
        return Sleeper(self)


@dataclass
class Sleeper:
    """Sleeps for the candidate's time, then scores by formula; notes when it did so."""

    spec: SleeperSpec

    def run(self, job: Job) -> Outcome:
        """Carry out ``job``; ``notes`` hold the seconds since 1970 of its begin and end."""
        began = time.time()
        scores = scores_of(self.spec.tasks, job)
        seconds = self.spec.durations.of(job.candidate_id)
        time.sleep(max(0.0, began + seconds - time.time()))
        notes = {"began": repr(began), "ended": repr(time.time())}
        return Outcome(job, scores=scores, score_s=seconds, notes=notes)


def scores_of(tasks: Sequence[Formula], job: Job) -> list[BlockScores]:
    """Return the scores of all blocks of ``job``."""
    found = {(t.name, s): t for t in tasks for s in {ref.split for ref in job.blocks}}
    hits = {key: task.hits(job.recipe, key[1]) for key, task in found.items()}
    scores = []
    for ref in job.blocks:
        size = found[ref.task, ref.split].block_size
        values = hits[ref.task, ref.split][ref.block * size : (ref.block + 1) * size]
        answers = ["yes"] * len(values) if job.keep_answers else None
        scores.append(BlockScores(ref, {"hit": values}, answers))
    return scores
