"""A worker: one resident model that each candidate is merged into and scored with.

Nothing that a candidate does can end a worker: every error becomes a recorded failure.
"""

import os
import platform
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evomerge.errors import EvomergeError, NotFiniteError
from evomerge.evaluation.language_model import LanguageModel
from evomerge.evaluation.protocol import (
    EVALUATORS,
    Evaluator,
    ExampleRecord,
    Metric,
)
from evomerge.execution.protocol import BlockRef, BlockScores, Failure, Job, Outcome
from evomerge.merging.engine import Merger
from evomerge.models.checkpoint import Checkpoint
from evomerge.recipes.declarations import load_plugin_file
from evomerge.recipes.recipe import Source

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "alloc_cpu")


@dataclass(frozen=True)
class EvaluatorSpec:
    """What an evaluator is built from, in any process.

    Args:
        name: Its name in the run file.
        type: Registered evaluator.
        seed: The run's seed.
        options: Its settings.
    """

    name: str
    type: str
    seed: int
    options: Mapping[str, Any]

    def build(self) -> Evaluator:
        """Build the evaluator.

        Raises:
            EvaluationError: Its data or settings don't fit.
        """
        return EVALUATORS.get(self.type).value(self.name, seed=self.seed, **self.options)


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker is built from; plain data, so that it can travel to another process.

    Args:
        folders: Source → folder on this machine.
        sources: All sources, in the user's order.
        base: Source whose configuration the resident model has.
        tokenizer: Source of the tokenizer.
        dtype: Element type of the resident model; None keeps the base's.
        evaluators: Tasks.
        device: Torch device.
        threads: Torch threads; part of the numeric class.
        plugins: Plug-in files to load first.
        cache_dir: Folder for figures of the sources that outlive the process.
        built: Evaluators that this process has built already; they don't travel to another one.
    """

    folders: Mapping[str, Path]
    sources: tuple[Source, ...]
    base: str
    tokenizer: str
    dtype: str | None
    evaluators: tuple[EvaluatorSpec, ...]
    device: str = "cpu"
    threads: int = 1
    plugins: tuple[Path, ...] = ()
    cache_dir: Path | None = None
    built: Mapping[str, Evaluator] | None = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"built": None}

    def build(self) -> "Worker":
        """Build the worker.

        Raises:
            EvomergeError: A source, plug-in or evaluator can't be used.
        """
        evaluators = self.built
        for plugin in self.plugins:
            if evaluators is None:
                load_plugin_file(plugin)
        torch.set_num_threads(self.threads)
        names = {source.name: source for source in self.sources}
        trusted = names[self.base].trust_remote_code
        checkpoints = {name: Checkpoint.open(path) for name, path in self.folders.items()}
        model = LanguageModel.load(
            self.folders[self.base],
            self.folders[self.tokenizer],
            self.dtype,
            self.device,
            trust_remote_code=trusted,
        )
        merger = Merger(checkpoints, names, device=self.device, cache_dir=self.cache_dir)
        if evaluators is None:
            evaluators = {spec.name: spec.build() for spec in self.evaluators}
        return Worker(
            model=model, merger=merger, base=checkpoints[self.base], evaluators=evaluators
        )


@dataclass
class Worker:
    """Merges and scores jobs, one at a time.

    Args:
        model: The resident model.
        merger: Writes recipes into its parameters.
        base: Checkpoint of the base, which names the parameters.
        evaluators: Task → evaluator.
        name: How the ledger names this worker.
    """

    model: LanguageModel
    merger: Merger
    base: Checkpoint
    evaluators: Mapping[str, Evaluator]
    name: str = field(default_factory=lambda: f"{platform.node()}:{os.getpid()}")

    def __post_init__(self) -> None:
        self._targets = self.model.parameters(self.base)
        self._prepared: dict[tuple[str, str], Any] = {}

    def run(self, job: Job) -> Outcome:
        """Merge ``job.recipe`` into the resident model and score the job's blocks.

        Returns:
            Scores, or the failure; only KeyboardInterrupt is raised.
        """
        began = time.perf_counter()
        merged = began
        scores: list[BlockScores] = []
        failure = None
        step = "merging"
        try:
            self.merger.merge_into(job.recipe, self._targets)
            merged = time.perf_counter()
            step = "scoring"
            with torch.inference_mode():
                for task, split, blocks in _by_task(job.blocks):
                    step = f"scoring task {task!r}"
                    scores += self._score(task, split, blocks, keep_answers=job.keep_answers)
        except Exception as error:  # noqa: BLE001  a candidate must never end a run
            failure = failure_of(error, step)
            scores = []
            # A merge that ended half-way, or a model that a task has touched, is written anew.
            self.merger.forget()
            if merged == began:
                merged = time.perf_counter()
        return Outcome(
            job=job,
            scores=scores,
            failure=failure,
            merge_s=merged - began,
            score_s=time.perf_counter() - merged,
            worker=self.name,
        )

    def _score(
        self, task: str, split: str, blocks: Sequence[int], *, keep_answers: bool
    ) -> Iterator[BlockScores]:
        """Score blocks of one task together; batches never cross a block."""
        evaluator = self.evaluators[task]
        requests = self._requests(task, split)
        n_examples, size = evaluator.n_examples(split), evaluator.block_size
        parts = [range(b * size, min((b + 1) * size, n_examples)) for b in blocks]
        indices = [index for part in parts for index in part]
        records = evaluator.score(self.model, requests, indices)
        start = 0
        for block, part in zip(blocks, parts, strict=True):
            mine = records[start : start + len(part)]
            start += len(part)
            yield BlockScores(
                ref=BlockRef(task, split, block),
                values={metric.name: _column(metric, mine) for metric in evaluator.metrics},
                answers=[record.answer for record in mine] if keep_answers else None,
            )

    def _requests(self, task: str, split: str) -> Any:
        """Return the task's requests, built and tokenised once."""
        if (task, split) not in self._prepared:
            evaluator = self.evaluators[task]
            self._prepared[task, split] = evaluator.prepare(self.model, split)
        return self._prepared[task, split]


def failure_of(error: Exception, step: str) -> Failure:
    """Return ``error`` as a failure: its kind, one line that is equal for equal causes, the rest.

    Args:
        error: What was raised.
        step: What was being done, ``merging`` or ``scoring task 'sort'``.
    """
    detail = "".join(traceback.format_exception(error))
    text = " ".join(str(error).split())
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and any(word in text.lower() for word in _NO_MEMORY)
    ):
        # torch's own message holds sizes that differ from one failure to the next.
        message = f"memory ran out while {step}. Use a smaller batch_size or fewer threads."
        return Failure("memory", message, detail)
    if isinstance(error, (NotFiniteError, FloatingPointError)):
        return Failure("nan", f"{step}: {text}", detail)
    if isinstance(error, EvomergeError):
        return Failure("exception", text, detail)
    return Failure("exception", f"{step}: {type(error).__name__}: {text}", detail)


def resolve_device(device: str) -> str:
    """Return the torch device that ``device`` names; ``auto`` is a GPU if there is one.

    Raises:
        EvomergeError: There is no such device here.
    """
    n_gpus = torch.cuda.device_count()
    if device == "auto":
        return "cuda:0" if n_gpus else "cpu"
    try:
        parsed = torch.device(device)
    except RuntimeError:
        raise EvomergeError(f"got {device!r}, expected auto, cpu, cuda or cuda:N.") from None
    if parsed.type == "cpu":
        return "cpu"
    if parsed.type != "cuda" or (parsed.index or 0) >= n_gpus:
        raise EvomergeError(
            f"got {device!r}, but this machine has {n_gpus} CUDA devices. Use auto or cpu."
        )
    return f"cuda:{parsed.index or 0}"


def numeric_class(device: str, threads: int) -> str:
    """Return what decides rounding besides the recipe: device, library versions, threads."""
    if device.startswith("cuda"):
        where = torch.cuda.get_device_name(device)
    else:
        where = f"cpu {torch.backends.cpu.get_cpu_capability()} threads={threads}"
    return f"{where} torch={torch.__version__} transformers={version('transformers')}"


def _by_task(blocks: Sequence[BlockRef]) -> Iterator[tuple[str, str, list[int]]]:
    """Yield (task, split, blocks) in order of first appearance."""
    groups: dict[tuple[str, str], list[int]] = {}
    for ref in blocks:
        groups.setdefault((ref.task, ref.split), []).append(ref.block)
    for (task, split), numbers in groups.items():
        yield task, split, numbers


def _column(metric: Metric, records: Sequence[ExampleRecord]) -> np.ndarray[Any, Any]:
    """Return a metric's values, shape ``(n, width)``."""
    rows = [record.metrics[metric.name] for record in records]
    return np.array(rows, dtype=np.float64).reshape(len(rows), metric.width)
