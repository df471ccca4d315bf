"""One width for a route's layers: intermediate sizes and heads filled up with zeros.

A unit of an MLP whose outgoing weights are 0 adds nothing, nor does a head whose output weights
are 0, so padding is exact. Where sources share keys and values among unequal numbers of heads, the
keys and values are repeated for as many heads as the one that shares least.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.merging.folding import Fold, Repeat
from evomerge.merging.layer_parts import LayerParts
from evomerge.models.architecture import TensorFacts, local_name

INTERMEDIATE = (
    "intermediate_size",
    "moe_intermediate_size",
    "shared_expert_intermediate_size",
    "ffn_dim",
    "n_inner",
)
"""Keys of config.json that hold widths inside MLPs."""

HEADS = ("num_attention_heads", "num_key_value_heads", "head_dim")
_ROWS = {"q_proj": "query", "k_proj": "key", "v_proj": "key"}
_NOT_PADDED = ("gate_up_proj", "gate", "router", "shared_expert_gate", "qkv_proj")


@dataclass(frozen=True)
class Heads:
    """Numbers of heads of an attention layer.

    Args:
        n_heads: Heads of queries.
        n_kv_heads: Heads of keys and values; each serves equally many heads of queries.
        size: Width of a head.
    """

    n_heads: int
    n_kv_heads: int
    size: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Heads | None":
        """Read them off the language model's configuration; None where it hasn't these keys."""
        n_heads = config.get("num_attention_heads", config.get("n_head"))
        hidden = _hidden_size(config)
        if not isinstance(n_heads, int) or not isinstance(hidden, int) or n_heads < 1:
            return None
        n_kv_heads = config.get("num_key_value_heads")
        size = config.get("head_dim")
        return cls(
            n_heads,
            n_kv_heads if isinstance(n_kv_heads, int) and n_kv_heads > 0 else n_heads,
            size if isinstance(size, int) else hidden // n_heads,
        )

    @property
    def shared_by(self) -> int:
        """Heads of queries that each head of keys serves."""
        return self.n_heads // self.n_kv_heads

    @classmethod
    def common(cls, members: Sequence["Heads"]) -> "Heads":
        """Return the smallest numbers that all ``members``, of one head size, can be brought to."""
        shared_by = math.gcd(*(member.shared_by for member in members))
        n_heads = max(member.n_heads for member in members)
        return cls(n_heads, n_heads // shared_by, members[0].size)


@dataclass(frozen=True)
class Widths:
    """The widths of a route's layers.

    Args:
        heads: Heads of the result; None leaves them as they are.
        intermediate: Keys of config.json with a width inside MLPs → their values in the result.
        shapes: Local name of a tensor of an MLP → its shape in the result; for those that differ.
    """

    heads: Heads | None
    intermediate: Mapping[str, int]
    shapes: Mapping[str, tuple[int, ...]]

    def config_changes(self) -> dict[str, Any]:
        """Return the keys of config.json that the widths change."""
        changes: dict[str, Any] = dict(self.intermediate)
        if self.heads is not None:
            values = (self.heads.n_heads, self.heads.n_kv_heads, self.heads.size)
            changes |= dict(zip(HEADS, values, strict=True))
        return changes

    def fold(self, facts: TensorFacts, own: Heads | None) -> Fold | None:
        """Return the padding of one tensor of a layer, or None if it stays as it is.

        Args:
            facts: The tensor.
            own: Heads of the model that it comes from.
        """
        name = local_name(facts.name)
        if name in self.shapes and self.shapes[name] != facts.shape:
            return Fold(self.shapes[name])
        module = name.rpartition(".")[0].rpartition(".")[2]
        if self.heads is None or own is None or own == self.heads or facts.role != "attn":
            return None
        axis = 1 if module == "o_proj" else 0
        if (module == "o_proj" and name.endswith(".bias")) or module not in (*_ROWS, "o_proj"):
            return None
        times = 1
        n_heads = self.heads.n_heads
        if _ROWS.get(module) == "key":
            n_heads = self.heads.n_kv_heads
            times = own.shared_by // self.heads.shared_by
        shape = list(facts.shape)
        shape[axis] = n_heads * self.heads.size
        repeat = Repeat(axis, self.heads.size, times) if times > 1 else None
        fold = Fold(tuple(shape), repeat=repeat)
        return None if fold == Fold(facts.shape) else fold


def common_widths(
    layers: Mapping[str, Sequence[Sequence[TensorFacts]]],
    configs: Mapping[str, Mapping[str, Any]],
    base: str,
    problems: list[str],
) -> Widths:
    """Return the widths of a route through sources of unequal ones.

    Args:
        layers: Source → for each of its layers, the tensors.
        configs: Source → full configuration of its language model; the base's too.
        base: Whose configuration the result has.
        problems: Why some can't be brought to one width is added here.
    """
    heads = _common_heads(layers, configs, base, problems)
    intermediate = {}
    for key in INTERMEDIATE:
        values = {_width(configs[name], key) for name in (*layers, base)} - {None}
        if len(values) > 1:
            widest = max(_width(configs[name], key) or 0 for name in layers)
            if widest != _width(configs[base], key):
                intermediate[key] = widest
    shapes: dict[str, tuple[int, ...]] = {}
    own = {name: _shapes(layers[name]) for name in layers}
    if len({_hidden_size(configs[name]) for name in layers}) > 1:
        return Widths(heads, intermediate, shapes)  # which the settings tell; all shapes differ
    for tensor in dict.fromkeys(tensor for found in own.values() for tensor in found):
        options = {name: found[tensor] for name, found in own.items() if tensor in found}
        if len(set(options.values())) < 2:
            continue
        if problem := _unlike(tensor, options, layers, moves_heads=heads is not None):
            problems.append(problem)
        elif _role(tensor, layers) == "mlp":
            shapes[tensor] = tuple(map(max, zip(*options.values(), strict=True)))
    return Widths(heads, intermediate, shapes)


def _common_heads(
    layers: Mapping[str, Sequence[Sequence[TensorFacts]]],
    configs: Mapping[str, Mapping[str, Any]],
    base: str,
    problems: list[str],
) -> Heads | None:
    """The heads of the result, or None where they are the base's in every layer."""
    found = {name: Heads.of(configs[name]) for name in (*layers, base)}
    known = {name: heads for name, heads in found.items() if heads is not None}
    if len(set(known.values())) < 2:
        return None
    first = known[base] if base in known else next(iter(known.values()))
    for name, heads in known.items():
        if heads.size != first.size:
            problems.append(
                f"source {name!r} has heads of {heads.size} values and the base {base!r} of "
                f"{first.size}. Only sources of one head size can stand in one route."
            )
            return None
    for name in layers:
        for facts in (facts for layer in layers[name] for facts in layer):
            parts = LayerParts.of([facts])
            if parts.has("fused_query"):
                problems.append(
                    f"source {name!r} has {known[name].n_heads} heads beside others in one tensor, "
                    f"{facts.name!r}, and the base {base!r} has {first.n_heads} heads. Heads are "
                    "padded only where queries, keys and values are tensors of their own."
                )
                return None
    common = Heads.common([known[name] for name in layers if name in known])
    return None if all(heads == common for heads in known.values()) else common


def _hidden_size(config: Mapping[str, Any]) -> Any:
    return config.get("hidden_size", config.get("n_embd"))


def _width(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    if key == "n_inner" and value is None and isinstance(config.get("n_embd"), int):
        return 4 * int(config["n_embd"])  # GPT-2's own default
    return value if isinstance(value, int) else None


def _shapes(layers: Sequence[Sequence[TensorFacts]]) -> dict[str, tuple[int, ...]]:
    """Local name → shape, for the tensors that have one shape in all layers of a source."""
    found: dict[str, set[tuple[int, ...]]] = {}
    for layer in layers:
        for facts in layer:
            found.setdefault(local_name(facts.name), set()).add(facts.shape)
    return {name: next(iter(shapes)) for name, shapes in found.items() if len(shapes) == 1}


def _role(tensor: str, layers: Mapping[str, Sequence[Sequence[TensorFacts]]]) -> str:
    every = (facts for layer in layers.values() for found in layer for facts in found)
    return next(facts.role for facts in every if local_name(facts.name) == tensor)


def _unlike(
    tensor: str,
    shapes: Mapping[str, tuple[int, ...]],
    layers: Mapping[str, Sequence[Sequence[TensorFacts]]],
    *,
    moves_heads: bool,
) -> str | None:
    """Why tensors of one name and unequal shapes can't be padded, or None if they can."""
    module = tensor.rpartition(".")[0].rpartition(".")[2] or tensor
    role = _role(tensor, layers)
    one_rank = len({len(shape) for shape in shapes.values()}) == 1
    can = role == "mlp" and one_rank and module not in _NOT_PADDED
    if can or (role == "attn" and moves_heads and module in (*_ROWS, "o_proj")):
        return None
    listed = ", ".join(f"{shape} in {name!r}" for name, shape in shapes.items())
    return (
        f"tensor {tensor!r} of a layer has shape {listed}. Only widths inside MLPs and numbers of "
        "heads may differ in a route; choose sources that agree in it."
    )
