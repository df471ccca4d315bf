"""Tiny models of many families, written as ordinary Hugging Face folders for tests."""

import string
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedTokenizerFast

SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>")
CHARACTERS = string.printable[:95] + "\n"
"""Digits, letters, punctuation, space and newline: what the tiny tokenizer knows, by id."""

FAMILIES = (
    "llama",
    "qwen3",
    "mistral",
    "gemma2",
    "gemma3",
    "gpt2",
    "gpt_neox",
    "mixtral",
    "qwen3_moe",
)


def tiny_model(
    family: str,
    folder: Path,
    *,
    dtype: str = "float32",
    seed: int = 0,
    layers: int = 2,
    vocab: int = 100,
    tokenizer: bool = True,
    hidden: int = 32,
    tie: bool | None = None,
    max_shard_size: str = "5GB",
) -> Path:
    """Write a randomly initialised model of ``family`` (one of ``FAMILIES``) and return ``folder``.

    Equal arguments write equal weights; different seeds write models that can be merged. Every
    parameter is random, norms and biases too. The global random state stays untouched.
    """
    config = tiny_config(family, layers=layers, vocab=vocab, hidden=hidden, tie=tie)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=max_shard_size)
    if tokenizer:
        tiny_tokenizer(vocab).save_pretrained(folder)
    return Path(folder)


def tiny_config(
    family: str,
    *,
    layers: int = 2,
    vocab: int = 100,
    hidden: int = 32,
    tie: bool | None = None,
) -> PretrainedConfig:
    """Return the configuration of a tiny model; ``tie`` None keeps the family's own habit."""
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    common: dict[str, Any] = {"vocab_size": vocab, "max_position_embeddings": 128, **ids}
    common |= {} if tie is None else {"tie_word_embeddings": tie}
    size = {
        "hidden_size": hidden,
        "intermediate_size": 3 * hidden // 2,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
    }
    grouped = {"num_key_value_heads": 2, "head_dim": hidden // 4}
    experts = {"num_experts_per_tok": 2}
    options: dict[str, tuple[type[PretrainedConfig], dict[str, Any]]] = {
        "llama": (transformers.LlamaConfig, {**size, **grouped}),
        "qwen3": (transformers.Qwen3Config, {**size, **grouped}),
        "mistral": (transformers.MistralConfig, {**size, **grouped}),
        "gemma2": (transformers.Gemma2Config, {**size, **grouped}),
        "gemma3": (transformers.Gemma3TextConfig, {**size, **grouped}),
        "gpt2": (transformers.GPT2Config, {"n_embd": hidden, "n_layer": layers, "n_head": 4}),
        "gpt_neox": (transformers.GPTNeoXConfig, size),
        "mixtral": (
            transformers.MixtralConfig,
            {**size, **grouped, **experts, "num_local_experts": 4},
        ),
        "qwen3_moe": (
            transformers.Qwen3MoeConfig,
            {**size, **grouped, **experts, "num_experts": 4, "moe_intermediate_size": 24},
        ),
    }
    kind, extra = options[family]
    return kind(**common, **extra)


def tiny_tokenizer(vocab: int = 100, characters: str = CHARACTERS) -> PreTrainedTokenizerFast:
    """Return a character-level tokenizer: ``SPECIALS``, ``characters``, cut at ``vocab`` ids."""
    names = [*SPECIALS, *characters][:vocab]
    inner = Tokenizer(models.WordLevel({t: i for i, t in enumerate(names)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    inner.decoder = decoders.Fuse()
    pad, bos, eos, unk = SPECIALS
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token=pad, bos_token=bos, eos_token=eos, unk_token=unk
    )
