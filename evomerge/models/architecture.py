"""Which layer and role each tensor of a checkpoint has, read off its names and configuration.

No table of model families: the layer list is the numbered module list whose length is the
configuration's number of layers; roles come from the words in the names. Free of torch.
"""

import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from evomerge.errors import ModelError

logger = logging.getLogger(__name__)

ROLES = ("embed", "attn", "mlp", "norm", "head", "other")

FLOATS = frozenset({"F64", "F32", "BF16", "F16"})
"""Element types of tensors that are merged; others are copied."""
BUFFERS = ("rotary_emb.inv_freq", "attn.masked_bias", ".attn.bias", "embeddings.position_ids")
"""Ends of names of constant buffers that old files store: never merged, and some may lack them."""

_DEPTH_KEYS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
TEXT_CONFIGS = ("text_config", "llm_config", "language_config")
"""Keys of a config.json under which the language tower has its own configuration."""

# Words, tried on each dotted component of a name. A norm wins over the module that it stands in.
_NORM = re.compile(r"norm|^ln\d*(_|$)|_ln\d*$|^rms")
_HEAD = re.compile(r"^lm_head|^embed_out$|^output(_layer|_proj(ection)?)?$|_head$|^head$|^score$")
_EMBED = re.compile(r"embed|^wte$|^wpe$|^(word|token|position)s?_emb")
_ATTN = re.compile(
    r"attn|attention|^w?_?(q|k|v|o|qkv|kv|query|key|value)(_|$)|^query_key_value$|^w[qkvo]$|^wqkv$",
    re.IGNORECASE,
)
_MLP = re.compile(
    r"mlp|ffn|feed_?forward|expert|(^|_)moe($|_)|router|^ff\d*$|^fc\d*$|^(c_fc|fc_in|fc_out)$"
    r"|^(gate|up|down)(_up)?_proj$|^dense_(h_to_4h|4h_to_h)$|^w[123]$|^intermediate$"
)
_AFTER = re.compile(r"(^|_)(out|output|final|last|post|mtp)(_|$)")


@dataclass(frozen=True)
class TensorFacts:
    """What is known of one tensor without reading it.

    Args:
        name: Name in the checkpoint.
        shape: Its shape.
        dtype: safetensors' name of its element type: ``F32``, ``BF16``, ``I64`` …
        layer: Index of the layer that it belongs to, None outside the layers.
        role: One of ``ROLES``. A norm inside a layer has role ``norm``.
        before: (outside the layers) it stands before the first layer, as an embedding does.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layer: int | None
    role: str
    before: bool = True

    def depth(self, n_layers: int) -> float:
        """Return the relative depth: 0 first layer and before, 1 last layer and after."""
        if self.layer is None:
            return 0.0 if self.before else 1.0
        return self.layer / max(n_layers - 1, 1)

    def block(self, size: int, n_layers: int) -> int:
        """Return the index of the group of ``size`` contiguous layers that this tensor joins."""
        if self.layer is None:
            return 0 if self.before else (max(n_layers, 1) - 1) // size
        return self.layer // size

    @property
    def is_merged(self) -> bool:
        """Whether stages merge it; whole numbers and constant buffers are copied."""
        return self.dtype in FLOATS and not self.name.endswith(BUFFERS)


def n_layers(headers: Mapping[str, tuple[tuple[int, ...], str]], config: Mapping[str, Any]) -> int:
    """Return the number of layers of a checkpoint; 0 where it has no numbered list at all.

    Raises:
        ModelError: The configuration names a number of layers that no list in the checkpoint has.
    """
    return _find_layers(headers, config)[1]


def layer_prefix(
    headers: Mapping[str, tuple[tuple[int, ...], str]], config: Mapping[str, Any]
) -> str | None:
    """Return what stands before the layer's number, as ``model.layers.``; None without layers.

    Raises:
        ModelError: The configuration names a number of layers that no list in the checkpoint has.
    """
    return _find_layers(headers, config)[0]


def infer_facts(
    headers: Mapping[str, tuple[tuple[int, ...], str]], config: Mapping[str, Any]
) -> dict[str, TensorFacts]:
    """Infer layer and role of every tensor.

    Args:
        headers: Tensor name → (shape, safetensors dtype).
        config: The checkpoint's ``config.json``.

    Returns:
        Name → facts, in the model's natural order: what stands before the layers, the layers by
        number, what stands after; names inside these in natural order (``experts.2`` before
        ``experts.10``).

    Raises:
        ModelError: The configuration names a number of layers that no list in the checkpoint has.
    """
    prefix, count = _find_layers(headers, config)
    facts = [
        _facts_of(name, tuple(shape), dtype, prefix, count)
        for name, (shape, dtype) in headers.items()
    ]
    unknown = [fact.name for fact in facts if fact.role == "other"]
    if unknown:
        logger.warning(
            "%d of %d tensors have no known role and fall in group 'other', as %s",
            len(unknown),
            len(facts),
            unknown[0],
        )
    return {fact.name: fact for fact in sorted(facts, key=_order)}


@lru_cache(maxsize=1 << 16)
def local_name(name: str) -> str:
    """Return what follows the layer's number in a name, or its last part outside the layers."""
    parts = name.split(".")
    numbers = [index for index, part in enumerate(parts) if part.isdecimal()]
    return ".".join(parts[numbers[0] + 1 :]) if numbers else parts[-1]


def configured_depth(config: Mapping[str, Any]) -> int | None:
    """Return the number of layers that a ``config.json`` names, or None."""
    for block in _config_blocks(config):
        for key in _DEPTH_KEYS:
            value = block.get(key)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
    return None


def ties_embeddings(config: Mapping[str, Any]) -> bool | None:
    """Return ``tie_word_embeddings`` of a ``config.json``, None where it doesn't say."""
    for block in _config_blocks(config):
        if isinstance(block.get("tie_word_embeddings"), bool):
            return bool(block["tie_word_embeddings"])
    return None


def _config_blocks(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The configuration itself, then those of its language tower."""
    yield config
    for key in TEXT_CONFIGS:
        if isinstance(config.get(key), Mapping):
            yield config[key]


def _find_layers(
    headers: Mapping[str, tuple[tuple[int, ...], str]], config: Mapping[str, Any]
) -> tuple[str | None, int]:
    """Return (prefix up to the number, number of layers)."""
    lists = _outer_lists(headers)
    expected = configured_depth(config)
    if not lists and not expected:
        return None, 0
    fitting = {
        prefix: indices
        for prefix, indices in lists.items()
        if indices >= set(range(expected if expected is not None else len(indices)))
    }
    if expected is not None:
        # A longer list may carry extra heads behind its layers; an exact one is the layers.
        exact = {p: indices for p, indices in fitting.items() if len(indices) == expected}
        fitting = exact or fitting
    if not fitting or expected == 0:
        found = ", ".join(f"{p}* ({len(i)})" for p, i in sorted(lists.items())) or "none"
        raise ModelError(
            f"config.json says {expected} layers, and the tensors' numbered lists are: {found}. "
            "Expected a list with that many layers; check that config.json belongs to the weights."
        )
    weight = _elements_by_prefix(headers, fitting)
    best = max(sorted(fitting), key=lambda prefix: weight[prefix])
    return best, expected if expected is not None else len(fitting[best])


def _outer_lists(names: Iterable[str]) -> dict[str, set[int]]:
    """Numbered lists that stand in no other numbered list: prefix with its dot → indices."""
    lists: dict[str, set[int]] = {}
    for name in names:
        parts = name.split(".")
        for position, part in enumerate(parts):
            if part.isdecimal():
                prefix = "".join(f"{p}." for p in parts[:position])
                lists.setdefault(prefix, set()).add(int(part))
                break  # what is numbered further inside (experts) is not a list of layers
    return lists


def _elements_by_prefix(
    headers: Mapping[str, tuple[tuple[int, ...], str]], prefixes: Iterable[str]
) -> dict[str, int]:
    return {
        prefix: sum(
            math.prod(shape)
            for name, (shape, _) in headers.items()
            if _layer_of(name, prefix) is not None
        )
        for prefix in prefixes
    }


def _layer_of(name: str, prefix: str) -> int | None:
    if not name.startswith(prefix):
        return None
    number = name[len(prefix) :].split(".", 1)[0]
    return int(number) if number.isdecimal() else None


def _facts_of(
    name: str, shape: tuple[int, ...], dtype: str, prefix: str | None, count: int
) -> TensorFacts:
    layer = None if prefix is None else _layer_of(name, prefix)
    if layer is not None and prefix is not None:
        local = name[len(prefix) :].split(".")[1:]
        if layer < count:
            return TensorFacts(name, shape, dtype, layer, _role_inside(local))
        return TensorFacts(name, shape, dtype, None, "other", before=False)
    role, before = _role_outside(name.split("."))
    return TensorFacts(name, shape, dtype, None, role, before)


def _role_inside(parts: list[str]) -> str:
    if any(_NORM.search(part.lower()) for part in parts):
        return "norm"
    for part in parts:
        if _MLP.search(part.lower()):
            return "mlp"
        if _ATTN.search(part):
            return "attn"
    return "other"


def _role_outside(parts: list[str]) -> tuple[str, bool]:
    """Return (role, whether it stands before the layers)."""
    modules = [part.lower() for part in parts]
    if any(_HEAD.search(part) for part in modules):
        return "head", False
    embeds = any(_EMBED.search(part) for part in modules)
    if any(_NORM.search(part) for part in modules):
        return "norm", embeds
    if embeds:
        return "embed", True
    return "other", not any(_AFTER.search(part) for part in modules)


def natural_order(name: str) -> list[tuple[int, str]]:
    """Return a sort key that puts ``experts.2`` before ``experts.10``."""
    pieces = [piece for piece in re.split(r"(\d+)", name) if piece]
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces]


def _order(facts: TensorFacts) -> tuple[int, int, list[tuple[int, str]]]:
    part = 1 if facts.layer is not None else 0 if facts.before else 2
    return part, facts.layer or 0, natural_order(facts.name)
