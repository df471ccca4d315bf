"""How far the checkpoint of a route with scales is from the route as it lies in memory.

Scales are folded into weights, which is exact but for the epsilon of the norms that read the hidden
state, and for rounding. So what counts is how large the hidden state is beside the root of epsilon:
here the embedding's root mean square is set, each layer writes half as much, and logits are scaled
to a standard deviation of about 2, as trained models have. Routes of 12 steps through two random
models of 8 layers, scales between 0.5 and 2 (the first 1); largest and mean difference of logits
over all routes, in float32 and bfloat16, beside what bfloat16 alone does to the route.

    python benchmarks/route_export.py [--routes 8]
"""

import argparse
import math
import random
import tempfile
from pathlib import Path
from typing import Any

import torch
from routing import SOURCES
from tiny_llama import tiny_tokenizer
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    LlamaConfig,
    Qwen2Config,
    Qwen3Config,
)
from transformers.utils import logging

from evomerge.execution.worker import WorkerSpec
from evomerge.models.lock import lock_folder
from evomerge.recipes.recipe import Dataflow, Recipe, Source, Step

WIDTH, N_LAYERS, N_STEPS = 256, 8, 12
FAMILIES = {
    "Llama": (LlamaConfig, (1e-5, 1e-6)),
    "Qwen2": (Qwen2Config, (1e-6,)),
    "Qwen3": (Qwen3Config, (1e-6,)),
    "Gemma 2": (Gemma2Config, (1e-6,)),
    "Gemma 3": (Gemma3TextConfig, (1e-6,)),
}
SIZES = (0.02, 0.2, 2.0)
"""Root mean square of the embedding as the first layer reads it."""


def write_model(folder: Path, kind: Any, epsilon: float, size: float, seed: int) -> None:
    """Write a model whose weights keep the sizes that the module's docstring names."""
    torch.manual_seed(seed)
    config = kind(
        vocab_size=512,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=WIDTH // 4,
        rms_norm_eps=epsilon,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = AutoModelForCausalLM.from_config(config)
    is_gemma = "gemma" in config.model_type
    with torch.no_grad():
        for name, weight in model.named_parameters():
            part = name.split(".")[-2]
            if part == "embed_tokens":
                # Gemma multiplies its embeddings by the root of the width.
                weight.normal_(std=size / (math.sqrt(WIDTH) if is_gemma else 1))
            elif part == "lm_head":
                weight.normal_(std=2 / math.sqrt(WIDTH))
            elif weight.dim() == 2:
                write = 0.5 * size if part in ("o_proj", "down_proj") and not is_gemma else 1.0
                weight.normal_(std=write / math.sqrt(weight.shape[1]))
            elif part in ("post_attention_layernorm", "post_feedforward_layernorm") and is_gemma:
                weight.copy_(0.5 * size * (1 + 0.1 * torch.randn_like(weight)) - 1)
            elif name.endswith("weight"):
                weight.add_(0.1 * torch.randn_like(weight))
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)


def logits(network: Any, tokens: Tensor) -> Tensor:
    """Return a model's logits in float32, shape ``(b, t, v)``."""
    with torch.inference_mode():
        found: Tensor = network(input_ids=tokens, use_cache=False).logits.float()
    return found


def differences(folder: Path, routes: int) -> list[float]:
    """Return largest and mean difference in float32 and in bfloat16, and of bfloat16 alone."""
    sources = tuple(
        Source(name, str(folder / name), lock_folder(folder / name).sha256) for name in SOURCES
    )
    workers = {
        dtype: WorkerSpec(
            folders={name: folder / name for name in SOURCES},
            sources=sources,
            base="a",
            tokenizer="a",
            dtype=dtype,
            evaluators=(),
        ).build()
        for dtype in ("float32", "bfloat16")
    }
    tokens = torch.randint(3, 512, (4, 48), generator=torch.Generator().manual_seed(0))
    rng = random.Random(0)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(routes):
        layers = sorted(rng.choices(range(N_LAYERS), k=N_STEPS))
        scales = [1.0, *(2 ** rng.uniform(-1, 1) for _ in layers[1:])]
        steps = tuple(
            Step(rng.choice(SOURCES), layer, scale=scale)
            for layer, scale in zip(layers, scales, strict=True)
        )
        made = {}
        for dtype, worker in workers.items():
            recipe = Recipe(sources, "a", (), dtype, "a", Dataflow(steps, "a", "a", "a"))
            made[dtype, "routed"] = logits(worker.residents.route(recipe), tokens)
            made[dtype, "exported"] = logits(worker.residents.exported(recipe), tokens)
        pairs = [
            (made[dtype, "routed"] - made[dtype, "exported"]).abs()
            for dtype in ("float32", "bfloat16")
        ]
        rounding = (made["bfloat16", "routed"] - made["float32", "routed"]).abs()
        found.append((pairs[0], pairs[1], rounding))
    columns = [torch.stack(column) for column in zip(*found, strict=True)]
    return [float(value) for one in columns for value in (one.max(), one.mean())]


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    print(
        "| family | epsilon | hidden state | float32: largest | mean | bfloat16: largest | mean ",
        end="",
    )
    print("| bfloat16 alone: largest | mean |\n|" + "---|" * 9)
    for family, (kind, epsilons) in FAMILIES.items():
        for epsilon in epsilons:
            for size in SIZES:
                with tempfile.TemporaryDirectory() as name:
                    for seed, source in enumerate(SOURCES):
                        write_model(Path(name) / source, kind, epsilon, size, seed)
                    cells = " | ".join(f"{v:.1e}" for v in differences(Path(name), options.routes))
                print(f"| {family} | {epsilon:g} | {size:g} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
