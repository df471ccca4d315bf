"""One model on some tasks, scored by the evaluators that searches use."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.evaluation.intervals import Estimate
from evomerge.evaluation.language_model import LanguageModel
from evomerge.evaluation.objectives import estimate_task
from evomerge.evaluation.protocol import Evaluator
from evomerge.models.hub import locate

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


def load_model(
    path: str,
    revision: str | None = None,
    *,
    dtype: str | None = None,
    device: str = "auto",
    threads: int = 1,
    trust_remote_code: bool = False,
) -> LanguageModel:
    """Return the model at ``path`` (folder or hub id), ready to be scored.

    Args:
        path: Local folder or hub id.
        revision: (hub id) branch, tag or commit.
        dtype: ``float32``, ``bfloat16`` …; the checkpoint's own if None.
        device: ``cpu``, ``cuda`` …; ``auto`` takes a GPU if there is one.
        threads: Torch threads.
        trust_remote_code: Run code that the folder brings.

    Raises:
        ModelError: There is no such model, or it is broken.
    """
    import torch

    folder = locate(path, revision).folder
    torch.set_num_threads(threads)
    return LanguageModel.load(
        folder, dtype=dtype, device=device, trust_remote_code=trust_remote_code
    )


def evaluate_model(
    model: LanguageModel,
    evaluators: Mapping[str, Evaluator],
    *,
    splits: Sequence[str],
    on_block: OnBlock | None = None,
) -> list[TaskScores]:
    """Score ``model`` on all examples that ``splits`` hold together, task by task.

    Raises:
        EvaluationError: An evaluator doesn't fit the model.
    """
    return [
        _score_task(model, name, evaluator, splits, on_block or (lambda task, done, total: None))
        for name, evaluator in evaluators.items()
    ]


def _score_task(
    model: LanguageModel, name: str, evaluator: Evaluator, splits: Sequence[str], on_block: OnBlock
) -> TaskScores:
    began_s = time.monotonic()
    total = sum(evaluator.n_examples(split) for split in splits)
    rows: dict[str, list[tuple[float, ...]]] = {metric.name: [] for metric in evaluator.metrics}
    done = 0
    for split in splits:
        requests = evaluator.prepare(model, split)
        n = evaluator.n_examples(split)
        for start in range(0, n, evaluator.block_size):
            indices = range(start, min(start + evaluator.block_size, n))
            for record in evaluator.score(model, requests, indices):
                for metric in evaluator.metrics:
                    rows[metric.name].append(_row(record.metrics[metric.name]))
            done += len(indices)
            on_block(name, done, total)
    return TaskScores(
        task=name,
        split="+".join(splits),
        primary=evaluator.primary,
        metrics={
            metric: estimate_task(evaluator, metric, _values(values))
            for metric, values in rows.items()
        },
        n=total,
        seconds=time.monotonic() - began_s,
    )


def _row(value: Any) -> tuple[float, ...]:
    return tuple(map(float, value)) if isinstance(value, (tuple, list)) else (float(value),)


def _values(rows: Sequence[tuple[float, ...]]) -> NDArray[np.float64]:
    return np.array(rows, dtype=np.float64).reshape(len(rows), -1)
