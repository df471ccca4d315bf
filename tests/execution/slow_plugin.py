"""A plug-in whose merge method and evaluator wait for as long as a file is there.

``EVOMERGE_TEST_WAIT`` names a folder; while it holds ``merge`` or ``score``, that part waits, after
having written ``merge.reached`` or ``score.reached``.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from evomerge.evaluation.protocol import ExampleRecord, Metric, evaluator
from evomerge.merging.registry import merge_method


def wait_while_told(part: str) -> None:
    told = Path(os.environ["EVOMERGE_TEST_WAIT"]) / part
    while told.exists():
        told.with_suffix(".reached").touch()
        time.sleep(0.02)


@merge_method("slow_first")
def slow_first(tensors: Sequence[Tensor]) -> Tensor:
    """Take the first input, after a wait."""
    wait_while_told("merge")
    return tensors[0]


@evaluator("slow_norm")
class SlowNorm:
    """Score a model by its parameters."""

    block_size = 4
    primary = "norm"
    metrics = (Metric("norm"),)

    def __init__(self, name: str, *, seed: int) -> None:
        self.name = name

    def n_examples(self, split: str) -> int:
        return 4

    def prepare(self, model: Any, split: str) -> None:
        return None

    def score(self, model: Any, requests: Any, indices: Sequence[int]) -> list[ExampleRecord]:
        wait_while_told("score")
        norm = sum(float(p.double().norm()) for p in model.model.parameters())
        return [ExampleRecord({"norm": norm * (1 + index)}) for index in indices]
