"""Small checkpoints written tensor by tensor, and recipes over them, for merge tests."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from evomerge.merging.engine import Merger
from evomerge.merging.registry import METHODS
from evomerge.models.checkpoint import Checkpoint
from evomerge.recipes.recipe import Dataflow, Recipe, Source, Stage, StageInput

SHAPES = {
    "model.embed_tokens.weight": (70, 1000),  # more than one canonical block
    "model.layers.0.self_attn.q_proj.weight": (33, 50),
    "model.layers.0.input_layernorm.weight": (50,),
    "model.layers.1.self_attn.q_proj.weight": (33, 50),
    "model.layers.1.input_layernorm.weight": (50,),
    "model.norm.weight": (50,),
    "lm_head.weight": (70, 50),
}
DTYPES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


def weights(
    seed: int, *, dtype: str = "float32", near: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return random tensors of ``SHAPES``; ``near`` others, a small step away."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, shape in SHAPES.items():
        values = torch.randn(shape, generator=generator, dtype=torch.float64)
        if near is not None:
            values = near[name].double() + 0.1 * values
        found[name] = values.to(getattr(torch, dtype))
    return found


def write(folder: Path, tensors: Mapping[str, Tensor], **config: Any) -> Checkpoint:
    """Write ``tensors`` as a checkpoint and open it."""
    folder.mkdir(parents=True)
    layers = {name.split(".")[2] for name in tensors if ".layers." in name}
    plain = {"model_type": "llama", "num_hidden_layers": len(layers), "tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(plain | config))
    save_file(dict(tensors), folder / "model.safetensors", {"format": "pt"})
    return Checkpoint.open(folder)


class Lab:
    """Checkpoints by name, with a source for each.

    Args:
        folder: Where they are written.
        models: Name → tensors; the first is the base.
    """

    def __init__(self, folder: Path, models: Mapping[str, Mapping[str, Tensor]]) -> None:
        self.folder = folder
        self.models = dict(models)
        self.checkpoints = {name: write(folder / name, models[name]) for name in models}
        self.sources = {
            name: Source(name, str(folder / name), hashlib.sha256(name.encode()).hexdigest())
            for name in models
        }

    @classmethod
    def make(cls, folder: Path, n: int = 3, dtype: str = "float32") -> "Lab":
        """Write a base and ``n`` models near it: a, b, c …"""
        base = weights(0, dtype=dtype)
        near = {name: weights(i + 1, dtype=dtype, near=base) for i, name in enumerate("abcdef"[:n])}
        return cls(folder, {"base": base, **near})

    def merger(self, **options: Any) -> Merger:
        """Return a new merger over all models."""
        return Merger(self.checkpoints, self.sources, **options)

    def recipe(
        self,
        method: str,
        inputs: Sequence[str],
        *,
        dtype: str | None = None,
        seed: int = 0,
        **parameters: Any,
    ) -> Recipe:
        """Return a recipe with one stage; a list is a value for each input."""
        stage = self.stage("merged", method, inputs, **parameters)
        return self.staged([stage], dtype=dtype, seed=seed)

    def stage(
        self, name: str, method: str, inputs: Sequence[str], base: str = "base", **parameters: Any
    ) -> Stage:
        """Return a stage with defaults filled in."""
        declaration = METHODS.get(method).declaration
        values: dict[str, Any] = {}
        for parameter in declaration.parameters:
            value = parameters.get(parameter.name, parameter.default)
            if parameter.per_source:
                value = tuple(value) if isinstance(value, list) else (value,) * len(inputs)
            values[parameter.name] = value
        assert set(parameters) <= set(values)
        return Stage(
            name,
            method,
            tuple(StageInput(item) for item in inputs),
            base if declaration.needs_base else None,
            values,
        )

    def staged(
        self,
        stages: Sequence[Stage],
        *,
        dtype: str | None = None,
        seed: int = 0,
        dataflow: Dataflow | None = None,
        base: str = "base",
    ) -> Recipe:
        """Return a recipe with these stages over all sources."""
        return Recipe(
            tuple(self.sources.values()),
            base,
            tuple(stages),
            dtype=dtype,
            seed=seed,
            dataflow=dataflow,
        )

    def merge(self, recipe: Recipe, **options: Any) -> dict[str, Tensor]:
        """Return the merged tensors, by a merger that knows nothing yet."""
        return dict(self.merger(**options).tensors(recipe))


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Tell whether both hold the same bits under the same names."""
    return list(one) == list(other) and all(
        a.dtype == (b := other[name]).dtype
        and a.shape == b.shape
        and torch.equal(a.contiguous().view(torch.uint8), b.contiguous().view(torch.uint8))
        for name, a in one.items()
    )
