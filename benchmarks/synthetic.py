"""Llama-shaped checkpoints of any size with random weights, for timing merges of them."""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from evomerge.merging.engine import Merger
from evomerge.models.checkpoint import Checkpoint
from evomerge.recipes.recipe import Recipe, Source, Stage, StageInput

SIZES = {
    "24M": {"hidden": 384, "inner": 1024, "layers": 10, "vocab": 8000},
    "256M": {"hidden": 1024, "inner": 2816, "layers": 16, "vocab": 24576},
}
SOURCES = ("base", "a", "b", "c")


def shapes(size: str) -> dict[str, tuple[int, ...]]:
    """Return tensor name → shape of the model called ``size``."""
    s = SIZES[size]
    hidden, inner = s["hidden"], s["inner"]
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (s["vocab"], hidden)}
    for layer in range(s["layers"]):
        prefix = f"model.layers.{layer}"
        found |= {f"{prefix}.self_attn.{p}_proj.weight": (hidden, hidden) for p in "qkvo"}
        found |= {
            f"{prefix}.mlp.gate_proj.weight": (inner, hidden),
            f"{prefix}.mlp.up_proj.weight": (inner, hidden),
            f"{prefix}.mlp.down_proj.weight": (hidden, inner),
            f"{prefix}.input_layernorm.weight": (hidden,),
            f"{prefix}.post_attention_layernorm.weight": (hidden,),
        }
    return found | {"model.norm.weight": (hidden,), "lm_head.weight": (s["vocab"], hidden)}


def count(size: str) -> int:
    """Return the number of parameters of the model called ``size``."""
    return sum(math.prod(shape) for shape in shapes(size).values())


def write_models(folder: Path, size: str, dtype: torch.dtype) -> None:
    """Write ``SOURCES`` under ``folder``, unless they are there: a base and three near it."""
    s = SIZES[size]
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": s["hidden"],
        "intermediate_size": s["inner"],
        "num_hidden_layers": s["layers"],
        "num_attention_heads": s["hidden"] // 64,
        "num_key_value_heads": s["hidden"] // 64,
        "vocab_size": s["vocab"],
        "tie_word_embeddings": False,
        "torch_dtype": str(dtype).removeprefix("torch."),
    }
    for index, name in enumerate(SOURCES):
        target = folder / name
        if (target / "config.json").is_file():
            continue
        target.mkdir(parents=True, exist_ok=True)
        save_file(_weights(size, dtype, index), target / "model.safetensors", {"format": "pt"})
        (target / "config.json").write_text(json.dumps(config))


def _weights(size: str, dtype: torch.dtype, index: int) -> dict[str, Tensor]:
    weights = {}
    for number, (name, shape) in enumerate(shapes(size).items()):
        values = torch.randn(shape, generator=torch.Generator().manual_seed(number)).mul_(0.02)
        if index:
            own = torch.Generator().manual_seed(1000 * index + number)
            values.add_(torch.randn(shape, generator=own), alpha=0.002)
        weights[name] = values.to(dtype)
    return weights


def open_models(folder: Path) -> tuple[dict[str, Checkpoint], dict[str, Source]]:
    """Return the models under ``folder`` as checkpoints and as sources."""
    checkpoints = {name: Checkpoint.open(folder / name) for name in SOURCES}
    sources = {
        name: Source(name, str(folder / name), f"{index:064x}")
        for index, name in enumerate(SOURCES)
    }
    return checkpoints, sources


def new_merger(folder: Path) -> Merger:
    """Return a merger over the models under ``folder`` that has computed nothing yet."""
    return Merger(*open_models(folder))


def recipe(folder: Path, method: str) -> Recipe:
    """Return a merge of the three sources with weights that differ."""
    per_source = {"weights": (0.5, 0.3, 0.4)}
    task = {**per_source, "scale": 0.9}
    sparse = {**task, "densities": (0.2, 0.3, 0.25)}
    consensus = {"normalize": True, "zero_sign": "plus", "elect": "sum"}
    dare = {**sparse, "rescale": "inverse_density", "skip_1d": True}
    parameters = {
        "linear": {**per_source, "normalize": True},
        "task_arithmetic": task,
        "ties": {**sparse, **consensus},
        "dare_linear": dare,
        "dare_ties": {**dare, **consensus},
    }[method]
    base = None if method == "linear" else "base"
    inputs = tuple(StageInput(name) for name in SOURCES[1:])
    stage = Stage("merged", method, inputs, base, parameters)
    return Recipe(tuple(open_models(folder)[1].values()), "base", (stage,))
