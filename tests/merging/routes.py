"""Pairs of tiny models in memory, with windows short enough to matter, for tests of routes."""

from functools import cache
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Qwen2Config

from evomerge.recipes.recipe import Dataflow, Step
from tests.fixtures_models import tiny_config

FAMILIES = ("llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3", "gpt2", "mixtral")
WINDOW = 6
"""Tokens that a sliding layer sees."""

FLOW = Dataflow(
    steps=(
        Step("a", 0),
        Step("b", 2, scale=0.8),
        Step("b", 2, scale=1.1, qk=1.5, write=0.7),
        Step("a", 3),
        Step("b", 1, scale=-0.9),
        Step("a", 2),
    ),
    embedding="a",
    norm="b",
    head="a",
)
"""Repeats, jumps in both directions, every number, parts of different models."""


def plain(*steps: tuple[str, int], ends: str = "a") -> Dataflow:
    """Return a route without numbers."""
    return Dataflow(tuple(Step(name, layer) for name, layer in steps), ends, ends, ends)


@cache
def shared_models(family: str) -> tuple[Any, Any]:
    """Return two models that no test may change."""
    return tiny(family, 0), tiny(family, 1)


def tiny_pair(family: str) -> dict[str, Any]:
    """Return models ``a`` and ``b`` of one family with random weights; not to be changed."""
    return dict(zip("ab", shared_models(family), strict=True))


def tiny(family: str, seed: int, layers: int = 4, **changes: Any) -> Any:
    """Return a model of ``layers`` layers; Gemma's first and third slide, as in Qwen 2 and 3."""
    config: Any = tiny_config("llama" if family == "qwen2" else family, layers=layers)
    if family == "qwen2":
        names = ("vocab_size", "hidden_size", "intermediate_size", "num_attention_heads")
        size = {name: getattr(config, name) for name in names}
        config = Qwen2Config(
            **size, num_hidden_layers=layers, num_key_value_heads=2, pad_token_id=0, eos_token_id=2
        )
    if family in ("qwen2", "qwen3", "gemma2", "gemma3"):
        kinds = ("sliding_attention", "full_attention")
        config.layer_types = [kinds[layer % 2] for layer in range(layers)]
    if family in ("qwen2", "qwen3", "gemma2", "gemma3", "mistral"):
        config.sliding_window = WINDOW
    for key, value in changes.items():
        setattr(config, key, value)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return model.requires_grad_(False).eval()
