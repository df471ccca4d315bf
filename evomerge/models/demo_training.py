"""Training of the demo's small Llamas on the CPU, without touching any global random state."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evomerge.models.demo_tasks import SPECIAL_TOKENS, TASKS, TOKENS, Mixture, draw_batch

BATCH_SIZE = 32
N_LAYERS = 6
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Course:
    """How one model is trained.

    Args:
        mixture: On what.
        steps: Optimiser steps.
        rate: Peak learning rate, dimensionless; it warms up and falls along a cosine.
    """

    mixture: Mixture
    steps: int
    rate: float


def new_model(seed: int) -> Any:
    """Return an untrained ``LlamaForCausalLM`` of 140 thousand parameters in float32."""
    from transformers import LlamaConfig, LlamaForCausalLM

    pad, bos, eos = (TOKENS.index(token) for token in SPECIAL_TOKENS[:3])
    config = LlamaConfig(
        vocab_size=len(TOKENS),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.05,
        tie_word_embeddings=True,
        dtype="float32",
        architectures=["LlamaForCausalLM"],
        pad_token_id=pad,
        bos_token_id=bos,
        eos_token_id=eos,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def new_tokenizer() -> Any:
    """Return the character tokenizer: a token for each letter, for ``=`` and for each task."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(
        models.WordLevel({token: index for index, token in enumerate(TOKENS)}, unk_token="<unk>")
    )
    pieces = Regex(f"(?:{'|'.join(TASKS)}): |[\\s\\S]")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(pieces, behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A",
        pair="<bos> $A $B",
        special_tokens=[("<bos>", TOKENS.index("<bos>"))],
    )
    make_tokenizer: Callable[..., Any] = PreTrainedTokenizerFast  # untyped in transformers
    return make_tokenizer(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        model_max_length=128,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def train(
    model: Any,
    course: Course,
    *,
    forbidden: Mapping[str, object],
    rng: np.random.Generator,
    on_step: Callable[[int, int], None],
) -> None:
    """Train ``model`` in place.

    Args:
        model: A causal language model on the CPU.
        course: On what, and how long.
        forbidden: Strings that never come up.
        rng: Source of the examples.
        on_step: Called after each step with the steps done and the steps in all.
    """
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=course.rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True
    )
    model.train()
    for step in range(course.steps):
        for group in optimiser.param_groups:
            group["lr"] = course.rate * _schedule(step, course.steps)
        batch = draw_batch(course.mixture, BATCH_SIZE, forbidden=forbidden, rng=rng)
        tokens = torch.from_numpy(batch.tokens)
        loss = model(input_ids=tokens, labels=torch.from_numpy(batch.labels)).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        on_step(step + 1, course.steps)
    model.eval()


@contextmanager
def one_thread() -> Iterator[None]:
    """Run on one torch thread, so that equal seeds give equal weights on any number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def save(model: Any, tokenizer: Any, folder: Path, card: str) -> None:
    """Write an ordinary Hugging Face folder with float32 weights."""
    from safetensors.torch import save_file

    folder.mkdir()
    weights = model.state_dict()
    del weights["lm_head.weight"]  # the embedding's
    # save_pretrained of the model would draw a progress bar of its own.
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)  # safetensors writes files that only their owner can read
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _schedule(step: int, steps: int) -> float:
    """Return the factor on the learning rate: a warm-up over a twentieth, then a cosine."""
    warm_up = max(1, steps // 20)
    cosine = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps))
    return min(1.0, (step + 1) / warm_up) * cosine
