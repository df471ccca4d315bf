"""The tasks that a worker scores: requests prepared once, in batches that memory has room for."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from evomerge.evaluation.protocol import Evaluator, ExampleRecord, Metric
from evomerge.execution.protocol import BlockRef, BlockScores

BATCHES_IN_CLASS = 120
"""Characters that the limits of batches may take in a numeric class, a column of 255."""

TaskSplit = tuple[str, str]
"""A task and one of its splits."""


class TaskScores:
    """Scores blocks of tasks with one resident model.

    Args:
        model: A LanguageModel or NetworkModel; its weights change underneath.

    Attributes:
        limits: Task → most rows of its batches, where memory ran out on more.
    """

    def __init__(self, model: Any) -> None:
        self.limits: dict[str, int] = {}
        self._model = model
        self._prepared: dict[TaskSplit, Any] = {}

    def score(
        self,
        evaluator: Evaluator,
        key: TaskSplit,
        blocks: Sequence[int],
        *,
        keep_answers: bool,
        preparing: Callable[[], AbstractContextManager[None]],
    ) -> list[BlockScores]:
        """Score blocks of one task together; batches never cross a block.

        Args:
            evaluator: The task's.
            key: The task and its split.
            blocks: Their numbers.
            keep_answers: Return the model's answers too.
            preparing: Surrounds the making of requests, if they have to be made.
        """
        task, split = key
        if key not in self._prepared:
            with preparing():
                self._prepare(evaluator, key)
        n_examples, size = evaluator.n_examples(split), evaluator.block_size
        parts = [range(b * size, min((b + 1) * size, n_examples)) for b in blocks]
        indices = [index for part in parts for index in part]
        records = evaluator.score(self._model, self._prepared[key], indices)
        found, start = [], 0
        for block, part in zip(blocks, parts, strict=True):
            mine = records[start : start + len(part)]
            start += len(part)
            found.append(
                BlockScores(
                    ref=BlockRef(task, split, block),
                    values={metric.name: _column(metric, mine) for metric in evaluator.metrics},
                    answers=[record.answer for record in mine] if keep_answers else None,
                )
            )
        return found

    def limit(self, task: str, rows: int) -> None:
        """Have batches of at most ``rows`` rows from now on."""
        self.limits[task] = rows
        self._drop(lambda key: key[0] == task)

    def drop_others(self, key: TaskSplit | None) -> None:
        """Drop the requests of all but one task; they are built again when they are needed."""
        self._drop(lambda other: other != key)

    def describe_limits(self) -> str:
        """Return what a numeric class says of the limits; empty where there are none."""
        limits = " ".join(f"batch≤{n}:{task}" for task, n in sorted(self.limits.items()))
        if len(limits) > BATCHES_IN_CLASS:
            limits = f"batches={hashlib.sha256(limits.encode()).hexdigest()[:16]}"
        return limits

    def _drop(self, chosen: Callable[[TaskSplit], bool]) -> None:
        for key in [key for key in self._prepared if chosen(key)]:
            del self._prepared[key]

    def _prepare(self, evaluator: Evaluator, key: TaskSplit) -> None:
        """Build and tokenise the task's requests, in batches within its limit."""
        task, split = key
        self._model.batch_limit = self.limits.get(task)
        try:
            self._prepared[key] = evaluator.prepare(self._model, split)
        finally:
            self._model.batch_limit = None


def by_task(blocks: Sequence[BlockRef]) -> Iterator[tuple[TaskSplit, list[int]]]:
    """Yield ((task, split), numbers of blocks) in order of first appearance."""
    groups: dict[TaskSplit, list[int]] = {}
    for ref in blocks:
        groups.setdefault((ref.task, ref.split), []).append(ref.block)
    yield from groups.items()


def _column(metric: Metric, records: Sequence[ExampleRecord]) -> np.ndarray[Any, Any]:
    """Return a metric's values, shape ``(n, width)``."""
    rows = [record.metrics[metric.name] for record in records]
    return np.array(rows, dtype=np.float64).reshape(len(rows), metric.width)
