from collections.abc import Sequence

import pytest
import torch

from evomerge.errors import ExecutionError
from evomerge.execution.gpus import gpu_groups, visible


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(
    ("chosen", "size", "device", "groups"),
    [
        (None, 1, "auto", [(0,), (1,), (2,), (3,)]),
        ([3, 1], 1, "cuda", [(3,), (1,)]),
        (None, 2, "auto", [(0, 1), (2, 3)]),
        (None, 3, "auto", [(0, 1, 2)]),
        (None, 1, "cuda:2", []),
        (None, 1, "cpu", []),
    ],
)
def test_workers_are_spread_over_groups(
    chosen: Sequence[int] | None, size: int, device: str, groups: list[tuple[int, ...]]
) -> None:
    assert list(gpu_groups(chosen, size, device)) == groups


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(
    ("chosen", "size", "device", "words"),
    [
        ([4], 1, "cuda", "has 4 GPUs"),
        (["x"], 1, "cuda", "has 4 GPUs"),
        ([1, 1], 1, "cuda", "each number once"),
        ([], 1, "cuda", "there are 0 GPUs to use"),
        ([0, 1], 3, "auto", "there are 2 GPUs to use"),
        ([0], 1, "cuda:1", "names one place"),
    ],
)
def test_gpus_that_are_not_there_are_refused(
    chosen: Sequence[int], size: int, device: str, words: str
) -> None:
    with pytest.raises(ExecutionError, match=words):
        gpu_groups(chosen, size, device)


def test_a_machine_without_gpus_has_no_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert gpu_groups(None, 1, "auto") == ()
    with pytest.raises(ExecutionError, match="has 0 GPUs"):
        gpu_groups([0], 1, "auto")


def test_gpus_are_named_as_the_environment_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible((2, 3)) == "2,3"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-a,MIG-b")
    assert visible((0, 2)) == "5,MIG-b"
