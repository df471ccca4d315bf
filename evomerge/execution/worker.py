"""A worker: one resident model that each candidate is merged into and scored with.

Nothing that a candidate does can end a worker: every error becomes a recorded failure.
"""

import contextlib
import gc
import os
import platform
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from evomerge.evaluation.answering import answer
from evomerge.evaluation.conversation import Prompt
from evomerge.evaluation.language_model import LanguageModel
from evomerge.evaluation.protocol import SPLITS, Evaluator
from evomerge.evaluation.spec import EvaluatorSpec
from evomerge.execution.devices import (
    make_repeatable,
    must_spread,
    numeric_class,
    resolve_device,
)
from evomerge.execution.failures import failure_of
from evomerge.execution.protocol import BlockScores, Failure, Job, Outcome
from evomerge.execution.residents import Residents
from evomerge.execution.task_scores import TaskScores, TaskSplit, by_task
from evomerge.merging.engine import Merger
from evomerge.merging.prefixes import PrefixCache
from evomerge.models.checkpoint import Checkpoint
from evomerge.recipes.declarations import load_plugin_file
from evomerge.recipes.recipe import Source

PREFIX_BYTES = 1 << 28
"""Activations of routes that a worker on a CPU keeps, in bytes."""

SEARCH = SPLITS[0]
"""The split on which routes are scored as they are searched."""


NO_ROOM = "memory ran out while answering. Ask for fewer tokens, or with a shorter prompt."


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
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` …; what is there is found where it is built.
        threads: Torch threads; part of the numeric class.
        plugins: Plug-in files to load first.
        cache_dir: Folder for figures of the sources that outlive the process.
        prefix_bytes: Memory for activations that routes share; 0 shares none, None takes
            ``PREFIX_BYTES`` on a CPU and a tenth of what is free on a GPU.
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
    prefix_bytes: int | None = None
    built: Mapping[str, Evaluator] | None = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"built": None}

    def build(self) -> "Worker":
        """Build the worker.

        Raises:
            EvomergeError: A source, plug-in, evaluator or the device can't be used.
        """
        if self.device != "cpu":
            make_repeatable()
        evaluators = self.built
        for plugin in self.plugins:
            if evaluators is None:
                load_plugin_file(plugin)
        torch.set_num_threads(self.threads)
        names = {source.name: source for source in self.sources}
        checkpoints = {name: Checkpoint.open(path) for name, path in self.folders.items()}
        base = checkpoints[self.base]
        device = resolve_device(self.device)
        spread = must_spread(self.device, base.total_bytes)
        model = LanguageModel.load(
            self.folders[self.base],
            self.folders[self.tokenizer],
            self.dtype,
            device,
            trust_remote_code=names[self.base].trust_remote_code,
            spread=spread,
        )
        merger = Merger(checkpoints, names, device=device, cache_dir=self.cache_dir)
        if spread:
            merger.spill()  # the GPUs are full of the model
        if evaluators is None:
            evaluators = {spec.name: spec.build() for spec in self.evaluators}
        n_devices = torch.cuda.device_count() if spread else 1
        residents = Residents(
            scratch=model.model,
            targets=model.parameters(base),
            merger=merger,
            base=self.base,
            dtype=self.dtype,
            device=None if spread else device,
            trusted=frozenset(s.name for s in self.sources if s.trust_remote_code),
        )
        return Worker(
            model=model,
            merger=merger,
            residents=residents,
            evaluators=evaluators,
            device=device,
            numeric_class=numeric_class(device, self.threads, n_devices=n_devices),
            prefixes=self._prefixes(device),
        )

    def _prefixes(self, device: str) -> PrefixCache | None:
        budget = self.prefix_bytes
        if budget is None:
            free = 10 * PREFIX_BYTES if device == "cpu" else torch.cuda.mem_get_info(device)[0]
            budget = free // 10
        return PrefixCache(budget) if budget else None


@dataclass
class _Attempt:
    """What one job has come to so far; it outlives a lack of memory."""

    job: Job
    step: str = "merging"
    task: TaskSplit | None = None
    merged: bool = False
    spilled: bool = False
    scores: dict[TaskSplit, list[BlockScores]] = field(default_factory=dict)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    notes: dict[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Count the time of the block, less what is counted within it, as ``part``."""
        began, inner = time.perf_counter(), sum(self.seconds.values())
        try:
            yield
        finally:
            spent = time.perf_counter() - began
            self.seconds[part] += spent - (sum(self.seconds.values()) - inner)


@dataclass
class Worker:
    """Merges and scores jobs, one at a time.

    Where memory runs out, activations that routes share go first. Then the batches of the task in
    hand are halved, for this worker's later jobs too; a smaller batch rounds otherwise, so the
    outcomes' numeric class names it. Then sources and figures that are kept in memory are given up,
    and only then the job fails.

    Args:
        model: The resident model.
        merger: Writes recipes into its parameters.
        residents: Builds the models of recipes with a dataflow.
        evaluators: Task → evaluator.
        device: Where the model lies.
        numeric_class: What decides rounding besides recipe and batches.
        prefixes: Shares activations between routes.
        name: How the ledger names this worker.
        on_step: Told what a job does next: ``merging``, ``scoring task 'sort'``.
    """

    model: LanguageModel
    merger: Merger
    residents: Residents
    evaluators: Mapping[str, Evaluator]
    device: str = "cpu"
    numeric_class: str = ""
    prefixes: PrefixCache | None = None
    name: str = field(default_factory=lambda: f"{platform.node()}:{os.getpid()}")
    on_step: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        self._scores = TaskScores(self.model)

    def run(self, job: Job) -> Outcome:
        """Merge ``job.recipe`` into the resident model and score the job's blocks.

        A job with a prompt is answered instead.

        Returns:
            Scores, or the failure; only KeyboardInterrupt is raised.
        """
        attempt = _Attempt(job)
        if job.prompt is not None:
            return self._answered(attempt, job.prompt)
        try:
            failure = self._try(attempt)
            while failure and failure.kind == "memory" and self._give_up_memory(attempt):
                failure = self._try(attempt)
        finally:
            self.model.model, self.model.prefixes = self.residents.scratch, None
        if failure is not None:
            # A merge that ended half-way, or a model that a task has touched, is written anew.
            self.merger.forget()
        found = [] if failure else [block for part in attempt.scores.values() for block in part]
        return Outcome(
            job=job,
            scores=found,
            failure=failure,
            merge_s=attempt.seconds["merge"],
            score_s=attempt.seconds["score"],
            tokenise_s=attempt.seconds["tokenise"],
            worker=self.name,
            numeric_class=self._class(),
            notes=attempt.notes,
        )

    def _try(self, attempt: _Attempt) -> Failure | None:
        """Do what is still to do of an attempt; returns why it ended early."""
        job = attempt.job
        try:
            if not attempt.merged:
                self._begin(attempt, "merging")
                with attempt.timed("merge"):
                    self._build(job)
                    if self.device != "cpu":
                        torch.cuda.synchronize()
                attempt.merged = True
            for key, blocks in by_task(job.blocks):
                if key not in attempt.scores:
                    self._begin(attempt, f"scoring task {key[0]!r}", key)
                    with attempt.timed("score"), torch.inference_mode():
                        attempt.scores[key] = self._scores.score(
                            self.evaluators[key[0]],
                            key,
                            blocks,
                            keep_answers=job.keep_answers,
                            preparing=lambda: attempt.timed("tokenise"),
                        )
        except Exception as error:  # noqa: BLE001  a candidate must never end a run
            return failure_of(error, attempt.step)
        return None

    def _answered(self, attempt: _Attempt, prompt: Prompt) -> Outcome:
        """Let the recipe's model answer a prompt; what goes wrong costs the answer alone."""
        reply = failure = None
        try:
            self._begin(attempt, "merging")
            with attempt.timed("merge"):
                self._build(attempt.job)
            self._begin(attempt, "answering")
            with attempt.timed("score"):
                reply = answer(self.model, prompt)
        except Exception as error:  # noqa: BLE001  an answer must never end a run
            failure = failure_of(error, attempt.step)
            # Batches stay as they are: scores depend on them, and an answer must change none.
            self.merger.forget()
        finally:
            self.model.model, self.model.prefixes = self.residents.scratch, None
        if failure is not None and failure.kind == "memory":
            failure = replace(failure, message=NO_ROOM)
            self._empty_cache()
        return Outcome(
            job=attempt.job,
            failure=failure,
            merge_s=attempt.seconds["merge"],
            score_s=attempt.seconds["score"],
            worker=self.name,
            numeric_class=self._class(),
            reply=reply,
        )

    def _build(self, job: Job) -> None:
        """Make the model that is scored: the resident one rewritten, or a route.

        Folding a step's numbers into weights rounds otherwise than computing with them does. The
        search scores the quick form; all other splits, which decide what is exported, that form.
        """
        recipe = job.recipe
        if recipe.dataflow is None:
            self.merger.merge_into(recipe, self.residents.targets)
            return
        searching = job.prompt is None and all(ref.split == SEARCH for ref in job.blocks)
        if not searching and not all(step.is_plain for step in recipe.dataflow.steps):
            self.model.model = self.residents.exported(recipe)
            return
        self.model.model = self.residents.route(recipe)
        if self.prefixes is not None and job.prompt is None:
            self.prefixes.follow(self.model.model, *self.residents.path(recipe))
            self.model.prefixes = self.prefixes

    def _begin(self, attempt: _Attempt, step: str, task: TaskSplit | None = None) -> None:
        attempt.step, attempt.task = step, task
        self.model.rows_in_hand = 0
        if self.on_step is not None:
            self.on_step(step)

    def _give_up_memory(self, attempt: _Attempt) -> bool:
        """Give up what other jobs left; halve the task's batches; spill. False: all was tried."""
        rows, held = self.model.rows_in_hand, self.prefixes.bytes if self.prefixes else 0
        if self.prefixes is not None and held:
            # This candidate goes on without; later ones share what takes half as much.
            self.prefixes.shrink(held // 2)
            self.model.prefixes = None
            attempt.notes["prefixes"] = f"given up; at most {held // 2} bytes from now on"
        elif attempt.task is not None and rows > 1:
            self._scores.limit(attempt.task[0], rows // 2)
            attempt.notes["batch"] = f"{attempt.task[0]}: halved to {rows // 2}"
        elif not attempt.spilled:
            attempt.spilled = True
            self.merger.spill()
            self._scores.drop_others(attempt.task)
            attempt.notes["sources"] = "spilled"
        else:
            return False
        if self.prefixes is not None:
            self.prefixes.clear()  # what is left is of batches that may not come again
        self._empty_cache()
        return True

    def _empty_cache(self) -> None:
        """Give back memory that nobody holds any more."""
        gc.collect()
        if self.device != "cpu":
            torch.cuda.empty_cache()

    def _class(self) -> str:
        """The numeric class, with the limits of batches that it has come to."""
        limits = self._scores.describe_limits()
        return (
            f"{self.numeric_class} {limits}"
            if limits and self.numeric_class
            else self.numeric_class
        )
