"""What each tensor of a layer does in it, read off the names, for folding and for padding.

No table of model families: a name that isn't known here is ``unknown``, and whoever needs to know
refuses the layer and names the tensor.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from evomerge.models.architecture import BUFFERS, TensorFacts, local_name

_QUERY_NORM = re.compile(r"^q(uery)?_?(layer|_ln)?_?norm$|^q_ln$")
_INNER_NORM = re.compile(r"^(k|key|q_a|kv_a|v)_?(layer)?_?norm$|^k_ln$")
_POST_NORM = re.compile(r"^post_(feedforward|self_attn|mlp|ffn)_?(layer)?_?norm$")
_READ_NORM = re.compile(
    r"^(input|pre_feedforward|post_attention)_?layernorm$|^ln_?(1|2|attn|mlp)$|^norm_?[12]$"
    r"|^(attention|ffn)_norm$|^(self_attn|final)_layer_norm$"
)
_WRITE = {
    "attn": re.compile(r"^(o_proj|out_proj|c_proj|dense|wo)$"),
    "mlp": re.compile(r"^(down_proj|c_proj|fc2|fc_out|w2|dense_4h_to_h)$"),
}
_QUERY = re.compile(r"^(q_proj|q_b_proj|query|wq)$")
_FUSED_QUERY = re.compile(r"^(c_attn|qkv_proj|Wqkv|query_key_value)$")
_INNER = {
    "attn": re.compile(
        r"^(k|v|q_a|kv_a|kv_b|key|value)_?(proj|proj_with_mqa)?$|^w[kv]$|^sinks$|^rotary"
    ),
    "mlp": re.compile(
        r"^(gate|up|gate_up)_proj$|^(fc1|c_fc|fc_in|w1|w3|dense_h_to_4h)$"
        r"|^(gate|router|shared_expert_gate|e_score_correction)$"
    ),
}


CACHED = 1024
"""Kinds of layers whose parts are remembered."""


@dataclass(frozen=True)
class Part:
    """One tensor of a layer.

    Args:
        kind: ``write`` (projects into the residual stream), ``query``, ``fused_query`` (queries
            beside keys and values), ``query_norm``, ``read_norm``, ``post_norm`` (of what is
            written), ``inner`` (anything else that is known) or ``unknown``.
        module: Its module's name in the layer, ``self_attn.o_proj``.
        is_bias: It's added, not multiplied.
    """

    kind: str
    module: str
    is_bias: bool


@dataclass(frozen=True)
class LayerParts:
    """The parts of one layer.

    Args:
        by_name: Local name of the tensor (``self_attn.o_proj.weight``) → what it does.
    """

    by_name: Mapping[str, Part]

    @classmethod
    def of(cls, tensors: Iterable[TensorFacts]) -> "LayerParts":
        """Read the parts off all tensors of a layer."""
        return _parts_of(tuple((local_name(facts.name), facts.role) for facts in tensors))

    def has(self, kind: str) -> bool:
        """Tell whether a tensor of ``kind`` is among them."""
        return any(part.kind == kind for part in self.by_name.values())

    def unknown(self) -> list[str]:
        """Return the tensors that aren't known."""
        return [name for name, part in self.by_name.items() if part.kind == "unknown"]


@lru_cache(maxsize=CACHED)
def _parts_of(tensors: tuple[tuple[str, str], ...]) -> LayerParts:
    """Return the parts of a layer from (local name, role) of its tensors."""
    modules = {_split(name)[0] for name, _ in tensors}
    last = {module.rpartition(".")[2] for module in modules}
    # post_attention_layernorm stands after attention only where the MLP has norms of its own.
    sandwich = any("feedforward" in name for name in last)
    return LayerParts({name: _part(name, role, sandwich=sandwich) for name, role in tensors})


def _split(name: str) -> tuple[str, bool]:
    """Return (module, is it a bias) of a local name."""
    module, _, end = name.rpartition(".")
    if end in ("weight", "bias"):
        return module, end == "bias"
    bare = name.removesuffix("_bias")
    return bare, bare != name


def _part(name: str, role: str, *, sandwich: bool) -> Part:
    module, is_bias = _split(name)
    return Part(_kind(name, module.rpartition(".")[2], role, sandwich), module, is_bias)


def _kind(name: str, last: str, role: str, sandwich: bool) -> str:
    if f".{name}".endswith(BUFFERS):
        return "inner"
    if role == "norm":
        return _norm_kind(last, sandwich)
    if role in _WRITE:
        if _WRITE[role].search(last):
            return "write"
        if role == "attn" and _QUERY.search(last):
            return "query"
        if role == "attn" and _FUSED_QUERY.search(last):
            return "fused_query"
        if _INNER[role].search(last):
            return "inner"
    return "unknown"


def _norm_kind(last: str, sandwich: bool) -> str:
    if _QUERY_NORM.search(last):
        return "query_norm"
    if _INNER_NORM.search(last):
        return "inner"
    if _POST_NORM.search(last):
        return "post_norm"
    if last == "post_attention_layernorm" and sandwich:
        return "post_norm"
    return "read_norm" if _READ_NORM.search(last) else "unknown"
