import pytest
import torch

from evomerge.errors import EvomergeError
from evomerge.execution.devices import (
    must_spread,
    numeric_class,
    parse_device,
    resolve_device,
    unseen_class,
)


def test_devices_are_resolved_or_refused() -> None:
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") in ("cpu", "cuda:0")
    with pytest.raises(EvomergeError, match="CUDA devices"):
        resolve_device("cuda:99")
    with pytest.raises(EvomergeError, match="expected auto, cpu"):
        resolve_device("gpu")


def test_threads_and_versions_are_part_of_the_numeric_class() -> None:
    assert numeric_class("cpu", 1) != numeric_class("cpu", 2)
    assert f"torch={torch.__version__}" in numeric_class("cpu", 1)


def test_a_device_of_another_machine_is_only_read() -> None:
    assert parse_device("cuda:7").index == 7
    with pytest.raises(EvomergeError, match="expected auto, cpu"):
        parse_device("gpu")
    assert unseen_class("cuda:7") != unseen_class("cuda")
    assert unseen_class("cpu") != numeric_class("cpu", 1)


@pytest.mark.parametrize(("device", "spread"), [("auto", True), ("cuda", True), ("cuda:0", False)])
def test_a_model_is_spread_only_where_one_gpu_is_too_small_and_none_is_named(
    device: str, spread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (100, 200))
    assert must_spread(device, 101) is spread
    assert not must_spread(device, 100)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert not must_spread(device, 101)
