"""Tiny models of one family, their routes in memory and the checkpoints that routes become."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, Qwen2Config

from evomerge.merging.engine import Merger
from evomerge.merging.routing import Router
from evomerge.merging.stream import merge_to_disk
from evomerge.models.checkpoint import Checkpoint
from evomerge.models.resident import load_resident
from evomerge.recipes.recipe import Dataflow, Recipe, Source, Stage, Step
from tests.fixtures_models import tiny_config

EPSILONS = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon")
TOKENS = torch.arange(3, 63).view(3, 20) % 50


def config_of(family: str, **changes: Any) -> Any:
    """Return a tiny configuration whose epsilon is too small to matter, changed by ``changes``."""
    layers = changes.pop("layers", 3)
    if family == "qwen2":
        config: Any = Qwen2Config(
            vocab_size=100,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            pad_token_id=0,
        )
    else:
        config = tiny_config(family, layers=layers)
    plain = config.to_dict() | {key: 1e-12 for key in EPSILONS if hasattr(config, key)} | changes
    # What follows from other settings is derived anew.
    plain = {
        k: v for k, v in plain.items() if k not in ("layer_types", "model_type") or k in changes
    }
    return type(config)(**plain)


class RouteLab:
    """Models by name, with sources, checkpoints and residents.

    Args:
        folder: Where they are written.
        configs: Name → configuration; the first is the base.
    """

    def __init__(self, folder: Path, configs: Mapping[str, Any]) -> None:
        self.folder = folder
        self.names = list(configs)
        for seed, (name, config) in enumerate(configs.items()):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                model = AutoModelForCausalLM.from_config(config)
                with torch.no_grad():
                    for parameter in model.parameters():
                        parameter.add_(torch.randn_like(parameter), alpha=0.1)
            model.save_pretrained(folder / name)
        self.checkpoints = {name: Checkpoint.open(folder / name) for name in configs}
        self.sources = {n: Source(n, n, f"{i:064x}") for i, n in enumerate(configs)}
        self.merger = Merger(self.checkpoints, self.sources)
        self._residents: dict[str, nn.Module] = {}

    def recipe(self, flow: Dataflow, stages: Sequence[Stage] = (), **options: Any) -> Recipe:
        """Return a recipe with this route over all sources."""
        sources = tuple(self.sources.values())
        return Recipe(sources, self.names[0], tuple(stages), dataflow=flow, **options)

    def routed(self, flow: Dataflow) -> nn.Module:
        """Return the model in memory that follows the route; its weights must not be changed."""
        if not self._residents:
            self._residents = {name: self.resident(name) for name in self.names}
        return Router(self._residents, self.names[0]).build(flow)

    def resident(self, name: str) -> nn.Module:
        """Return a source in memory of its own."""
        return load_resident(self.folder / name, dtype=None, device="cpu")

    def exported(self, flow: Dataflow) -> nn.Module:
        """Return the route's checkpoint, written and loaded again."""
        out = self.folder / f"out{len(list(self.folder.iterdir()))}"
        merge_to_disk(self.recipe(flow), self.merger, out)
        return load_resident(out, dtype=None, device="cpu")


def route(*steps: Step, embedding: str = "a", norm: str = "a", head: str = "a") -> Dataflow:
    """Return a route."""
    return Dataflow(steps, embedding, norm, head)


def logits(model: nn.Module) -> Tensor:
    """Return a model's logits, shape ``(3, 20, vocabulary)``."""
    with torch.inference_mode():
        found: Tensor = model(TOKENS, use_cache=False).logits
    return found


def difference(one: nn.Module, other: nn.Module) -> float:
    """Return the largest difference of logits, in units of their spread."""
    first, second = logits(one).double(), logits(other).double()
    return float((first - second).abs().max() / first.std())
