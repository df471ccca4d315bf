import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from evomerge.errors import ModelError
from evomerge.models import finite
from evomerge.models.checkpoint import SINGLE, Checkpoint
from evomerge.models.finite import check_finite, find_nan, is_finite
from evomerge.models.lock import lock_folder
from tests.fixtures_models import tiny_model


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
def test_one_bad_element_anywhere_is_seen(
    monkeypatch: pytest.MonkeyPatch, dtype: str, value: float
) -> None:
    monkeypatch.setattr(finite, "_CHUNK", 7)
    tensor = torch.linspace(-1, 1, 40, dtype=getattr(torch, dtype)).reshape(5, 8)
    assert is_finite(tensor)
    for index in (0, 6, 7, 39):
        bad = tensor.clone()
        bad.view(-1)[index] = value
        assert not is_finite(bad)


def test_the_largest_numbers_are_finite() -> None:
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        top = torch.finfo(dtype).max
        assert is_finite(torch.tensor([top, top, -top, -top], dtype=dtype))


def test_other_types_and_shapes() -> None:
    assert is_finite(torch.tensor([1, 2]))
    assert is_finite(torch.empty(0))
    assert is_finite(torch.tensor(1.0))
    assert is_finite(torch.ones(3).to(torch.float8_e5m2))
    assert not is_finite(torch.tensor([1.0, float("nan")]).to(torch.float8_e5m2))


def _spoil(folder: Path, name: str) -> None:
    tensors = load_file(folder / SINGLE)
    tensors[name].view(-1)[-1] = float("nan")
    save_file(tensors, folder / SINGLE)


def test_the_spoiled_tensor_is_named(tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path / "m", dtype="bfloat16", tokenizer=False)
    assert find_nan(Checkpoint.open(folder)) is None
    check_finite(Checkpoint.open(folder), lock_folder(folder).sha256)
    name = "model.layers.1.mlp.up_proj.weight"
    _spoil(folder, name)
    assert find_nan(Checkpoint.open(folder)) == name
    for _ in range(2):  # the second answer comes from the cache
        with pytest.raises(ModelError, match=rf"m: tensor '{name}' holds NaN or infinity"):
            check_finite(Checkpoint.open(folder), lock_folder(folder).sha256)


def test_a_content_is_searched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"h.0.mlp.w": torch.ones(3)}, tmp_path / SINGLE)
    (tmp_path / "config.json").write_text(json.dumps({"num_hidden_layers": 1}))
    checkpoint = Checkpoint.open(tmp_path)
    looked: list[str] = []
    monkeypatch.setattr(finite, "find_nan", lambda c: looked.append("looked"))
    for sha in ("a" * 64, "a" * 64, "b" * 64):
        check_finite(checkpoint, sha)
    assert len(looked) == 2
