"""Layer swapping: which layers come from where, bit for bit."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evomerge.merging.methods.layer_swap import share_of_first
from tests.merging.lab import SHAPES, Lab, write


def shares(n_layers: int, bottom: int, top: int, transition: int) -> list[float]:
    return [
        share_of_first(
            layer, n_layers, bottom=bottom, top=top, transition=transition, t_transition=0.5
        )
        for layer in range(n_layers)
    ]


@given(st.integers(1, 12), st.integers(0, 14), st.integers(0, 14), st.integers(0, 3))
def test_outer_layers_are_the_first_models(
    n_layers: int, bottom: int, top: int, transition: int
) -> None:
    found = shares(n_layers, bottom, top, transition)
    assert found[:bottom] == [1.0] * min(bottom, n_layers)
    assert set(found) <= {0.0, 0.5, 1.0}
    if bottom + top >= n_layers:
        assert found == [1.0] * n_layers
    if transition == 0:
        assert 0.5 not in found


def test_no_outer_layers_give_the_second_model() -> None:
    assert shares(6, 0, 0, 0) == [0.0] * 6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_swapped_tensors_are_bit_equal_to_their_origin(tmp_path: Path, dtype: torch.dtype) -> None:
    shapes = dict(SHAPES)
    for layer in range(2, 6):
        shapes[f"model.layers.{layer}.self_attn.q_proj.weight"] = (33, 50)
        shapes[f"model.layers.{layer}.input_layernorm.weight"] = (50,)
    lab = Lab.make(tmp_path / "lab", n=2)
    for seed, name in enumerate(lab.models):
        generator = torch.Generator().manual_seed(seed)
        lab.models[name] = {
            n: torch.randn(s, generator=generator).to(dtype) for n, s in shapes.items()
        }
        lab.checkpoints[name] = write(tmp_path / name, lab.models[name])
    recipe = lab.recipe("layer_swap", "ab", bottom=1, top=2, transition=1, t_transition=0.25)
    merged = lab.merge(recipe)
    a, b = lab.models["a"], lab.models["b"]
    for name, tensor in merged.items():
        layer = int(name.split(".")[2]) if ".layers." in name else None
        if layer in (1, 3):
            expected = (0.25 * a[name].float() + 0.75 * b[name].float()).to(dtype)
            torch.testing.assert_close(tensor, expected)
        else:
            assert torch.equal(tensor, b[name] if layer == 2 else a[name])
