"""One model on some tasks, scored by the evaluators that searches use."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evomerge.config import RunConfig
from evomerge.errors import ConfigError, EvaluationError, Problem, nearest
from evomerge.evaluation.base import ALL
from evomerge.evaluation.intervals import Estimate
from evomerge.evaluation.language_model import LanguageModel
from evomerge.evaluation.objectives import estimate_task
from evomerge.evaluation.protocol import SPLITS, Evaluator
from evomerge.evaluation.spec import EvaluatorSpec
from evomerge.execution.devices import resolve_device
from evomerge.models.checkpoint import Checkpoint
from evomerge.models.finite import check_finite
from evomerge.models.hub import locate
from evomerge.models.lock import lock_folder
from evomerge.runs.setup.evaluators import build_evaluators, evaluator_specs

OnBlock = Callable[[str, int, int], None]
"""Called with task, examples scored, examples in all."""


@dataclass(frozen=True)
class TaskScores:
    """What a model reached on one task.

    Args:
        task: Name of the evaluator.
        split: Which examples.
        primary: Metric that an objective would take.
        metrics: Metric → estimate; raw values.
        n: Number of examples.
        seconds: Time for preparing and scoring.
    """

    task: str
    split: str
    primary: str
    metrics: Mapping[str, Estimate]
    n: int
    seconds: float


@dataclass(frozen=True)
class LmEvalOptions:
    """Settings of lm-eval tasks that are named without a run file; None is the task's own."""

    include_path: Path | None = None
    num_fewshot: int | None = None
    batch_size: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return those that are set, as the evaluator takes them."""
        found = {name: value for name, value in vars(self).items() if value is not None}
        return {n: str(v) if isinstance(v, Path) else v for n, v in found.items()}


@dataclass(frozen=True)
class ModelOptions:
    """How the model is loaded.

    Args:
        revision: (hub id) branch, tag or commit.
        dtype: ``float32``, ``bfloat16`` …; that of the run file, or the checkpoint's own, if None.
        device: ``cpu``, ``cuda`` …; that of the run file, or ``auto``, if None.
        trust_remote_code: Run code that the folder brings.
    """

    revision: str | None = None
    dtype: str | None = None
    device: str | None = None
    trust_remote_code: bool = False


@dataclass(frozen=True)
class Evaluation:
    """What is to be scored.

    Args:
        tasks: lm-eval names, or evaluators of ``config`` (none: all of them).
        config: A run file.
        where: Its name, for messages.
        split: ``search``, ``validation``, ``test`` or ``all``; None takes ``validation`` of a run
            file, so that nobody looks at its test split by accident, and all of an lm-eval task.
        limit: Only that many examples of each task; of a group, of its tasks in turn.
        lm_eval: Settings of tasks without a run file.
    """

    tasks: Sequence[str]
    config: RunConfig | None = None
    where: str = ""
    split: str | None = None
    limit: int | None = None
    lm_eval: LmEvalOptions = LmEvalOptions()

    @property
    def chosen_split(self) -> str:
        """The split, with its default."""
        return self.split or (ALL if self.config is None else "validation")

    def specs(self) -> tuple[EvaluatorSpec, ...]:
        """Return what the evaluators are built from.

        Raises:
            EvaluationError: No tasks are named, or one isn't in the run file.
        """
        if self.config is None:
            if not self.tasks:
                raise EvaluationError("no tasks. Name some: --tasks TASK,TASK, or --config CONFIG.")
            options = self.lm_eval.to_dict()
            return tuple(
                EvaluatorSpec(name, "lm_eval", 0, {"task": name, **options})
                for name in dict.fromkeys(self.tasks)
            )
        known = {spec.name: spec for spec in evaluator_specs(self.config)}
        for name in self.tasks:
            if name not in known:
                raise EvaluationError(
                    f"{self.where} has no evaluator {name!r}; {nearest(name, known)}"
                )
        return tuple(known[name] for name in dict.fromkeys(self.tasks)) or tuple(known.values())


def evaluate_model(
    path: str,
    wanted: Evaluation,
    options: ModelOptions = ModelOptions(),
    *,
    on_block: OnBlock = lambda task, done, total: None,
) -> list[TaskScores]:
    """Score the model at ``path`` (folder or hub id), task by task.

    Args:
        path: Local folder or hub id.
        wanted: Tasks and examples.
        options: How the model is loaded.
        on_block: Told of progress.

    Raises:
        ConfigError: Evaluators that can't be built, all at once.
        EvomergeError: The model can't be loaded or holds NaN, an evaluator doesn't fit it, or no
            scored example has a task's primary metric.
    """
    split = wanted.chosen_split
    if split not in (*SPLITS, ALL):
        raise EvaluationError(f"no split is called {split!r}; {nearest(split, (*SPLITS, ALL))}")
    problems: list[Problem] = []
    evaluators = build_evaluators(wanted.specs(), problems)
    if problems:
        raise ConfigError(wanted.where, problems)
    model = _load(path, wanted.config, options)
    return [
        _score_task(model, name, evaluator, split, wanted.limit, on_block)
        for name, evaluator in evaluators.items()
    ]


def _load(path: str, config: RunConfig | None, options: ModelOptions) -> LanguageModel:
    """Return the model, in the numeric class of the run file where there is one."""
    located = locate(path, options.revision)
    check_finite(Checkpoint.open(located.folder), lock_folder(located.folder).sha256)
    torch.set_num_threads(config.execution.threads if config else 1)
    device = options.device or (config.execution.device if config else "auto")
    return LanguageModel.load(
        located.folder,
        dtype=options.dtype or (config.recipe.dtype if config else None),
        device=resolve_device(device),
        trust_remote_code=options.trust_remote_code,
    )


def _score_task(
    model: LanguageModel,
    name: str,
    evaluator: Evaluator,
    split: str,
    limit: int | None,
    on_block: OnBlock,
) -> TaskScores:
    began_s = time.monotonic()
    n = evaluator.n_examples(split)
    n = n if limit is None else min(n, limit)
    rows: dict[str, list[tuple[float, ...]]] = {metric.name: [] for metric in evaluator.metrics}
    requests = evaluator.prepare(model, split)
    for start in range(0, n, evaluator.block_size):
        on_block(name, start, n)
        indices = range(start, min(start + evaluator.block_size, n))
        for record in evaluator.score(model, requests, indices):
            for metric in evaluator.metrics:
                rows[metric.name].append(_row(record.metrics[metric.name]))
    on_block(name, n, n)
    metrics = {m: estimate_task(evaluator, m, _values(found)) for m, found in rows.items()}
    if metrics[evaluator.primary].n == 0:
        raise EvaluationError(
            f"task {name!r}: no scored example has the metric {evaluator.primary!r}. "
            "Score more examples (--limit), or take another metric."
        )
    return TaskScores(
        task=name,
        split=split,
        primary=evaluator.primary,
        metrics=metrics,
        n=n,
        seconds=time.monotonic() - began_s,
    )


def _row(value: Any) -> tuple[float, ...]:
    return tuple(map(float, value)) if isinstance(value, (tuple, list)) else (float(value),)


def _values(rows: Sequence[tuple[float, ...]]) -> NDArray[np.float64]:
    return np.array(rows, dtype=np.float64).reshape(len(rows), -1)
