"""Every method against numbers that an independent float64 implementation computed."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from evomerge.merging.methods.dare_linear import dare_linear
from evomerge.merging.methods.dare_ties import dare_ties
from evomerge.merging.methods.layer_swap import share_of_first
from evomerge.merging.methods.linear import linear
from evomerge.merging.methods.slerp import slerp
from evomerge.merging.methods.task_arithmetic import task_arithmetic
from evomerge.merging.methods.ties import ties
from evomerge.merging.statistics import WholeTensors

FILE = json.loads((Path(__file__).parents[1] / "golden_micro.json").read_text())
CASES: dict[str, dict[str, Any]] = FILE["cases"]
BASED = {"task": task_arithmetic, "ties": ties, "dare_linear": dare_linear, "dare_ties": dare_ties}


def tensor(values: Any, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(values, dtype=dtype)


def merged(name: str, dtype: torch.dtype) -> Tensor:
    case = CASES[name]
    inputs, given = case["inputs"], dict(case["params"])
    if name.startswith("slerp"):
        return slerp([tensor(inputs["a"], dtype), tensor(inputs["b"], dtype)], t=given["t"])
    tensors = [tensor(values, dtype) for values in inputs["sources"]]
    if name.startswith("linear"):
        return linear(tensors, **given)
    base = tensor(inputs["base"], dtype)
    given["scale"] = given.pop("lambda")
    if "density" in given:
        given["densities"] = [given.pop("density")] * len(tensors)
    if "masks" in given:
        masks = [tensor(mask, dtype) for mask in given.pop("masks")]
        given |= {"stats": WholeTensors(base, tensors, masks=masks), "skip_1d": False}
    method = next(method for prefix, method in BASED.items() if name.startswith(prefix))
    return method(base, tensors, **given)  # type: ignore[operator]  # four signatures


@pytest.mark.parametrize("name", [name for name in CASES if name != "layer_swap_map"])
def test_gives_the_golden_numbers(name: str) -> None:
    expected = tensor(CASES[name]["expected"])
    exact = merged(name, torch.float64)
    torch.testing.assert_close(exact, expected, rtol=FILE["rtol"], atol=FILE["atol"])
    single = merged(name, torch.float32)
    torch.testing.assert_close(single.double(), expected, rtol=1e-5, atol=1e-6)


def test_layer_swap_takes_the_golden_shares() -> None:
    case = CASES["layer_swap_map"]
    n_layers = case["inputs"]["num_layers"]
    shares = [
        share_of_first(layer, n_layers, **case["params"], t_transition=0.5)
        for layer in range(n_layers)
    ]
    assert shares == case["expected"]["X_weight_per_block"]
