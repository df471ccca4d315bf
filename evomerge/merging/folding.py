"""A route's numbers folded into weights, so that its checkpoint needs no code of its own.

With S the product of the scales up to a layer, the checkpoint computes g = h/S where the route
computes h: what the layer writes into the residual stream is multiplied by write/S, and norms that
read it give the same as before, up to their epsilon and the sign of S (arXiv:2403.13187 scales the
hidden state; folding it is this project's own).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from evomerge.merging.layer_parts import LayerParts, Part
from evomerge.models.architecture import TensorFacts, local_name
from evomerge.recipes.recipe import Step


@dataclass(frozen=True)
class Stripes:
    """Which indices along an axis: the first ``count`` of every ``period``."""

    axis: int
    period: int
    count: int

    def of(self, values: Tensor) -> Tensor:
        """Return a view of these indices; the axis becomes (period's number, index in it)."""
        return _split(values, self.axis, self.period).narrow(self.axis + 1, 0, self.count)


@dataclass(frozen=True)
class Repeat:
    """Blocks of ``size`` indices along an axis, each of which comes ``times`` times in a row."""

    axis: int
    size: int
    times: int

    def of(self, values: Tensor) -> Tensor:
        """Return ``values`` with the blocks repeated."""
        blocks = _split(values, self.axis, self.size)
        return blocks.repeat_interleave(self.times, self.axis).flatten(self.axis, self.axis + 1)


@dataclass(frozen=True)
class Fold:
    """What becomes of a source's or stage's tensor on its way into a route's checkpoint.

    Args:
        shape: Its shape there; what is more than it had, once repeated, is filled with zeros.
        factor: What it's multiplied by.
        offset: Added then, where a gain is 1 + weight.
        stripes: (queries beside keys and values) the part that both are for; None means all.
        repeat: Heads that are repeated.
    """

    shape: tuple[int, ...]
    factor: float = 1.0
    offset: float = 0.0
    stripes: Stripes | None = None
    repeat: Repeat | None = None

    def apply(self, values: Tensor) -> Tensor:
        """Return the tensor of the checkpoint; ``values`` may be overwritten.

        Args:
            values: The source's or stage's tensor, float32 or float64.

        Returns:
            A tensor of ``shape`` with the dtype of ``values``.
        """
        if self.factor != 1.0 or self.offset != 0.0:
            part = values if self.stripes is None else self.stripes.of(values)
            part.mul_(self.factor).add_(self.offset)
        if self.repeat is not None:
            values = self.repeat.of(values)
        if values.shape == self.shape:
            return values
        padded = values.new_zeros(self.shape)
        padded[tuple(slice(size) for size in values.shape)] = values
        return padded


@dataclass(frozen=True)
class Family:
    """What folding has to know of the models that a route goes through.

    Args:
        gains: Norms, by local name, whose gain is 1 + weight; None where that isn't known.
        refusal: Why no layer of them can be scaled, empty if it can.
        hidden: Width of the residual stream.
        query_stripes: Stripes of the queries in a projection of queries, keys and values, by the
            module's last name; a module that isn't here can't be folded into.
    """

    gains: frozenset[str] | None
    refusal: str
    hidden: int
    query_stripes: Mapping[str, tuple[int, int]]


def _split(values: Tensor, axis: int, size: int) -> Tensor:
    """Return a view in which an axis has become two, the second of ``size``."""
    shape = values.shape
    return values.view(*shape[:axis], -1, size, *shape[axis + 1 :])


def running_scales(steps: Sequence[Step]) -> list[float]:
    """Return the product of the scales up to each step."""
    products, product = [], 1.0
    for step in steps:
        product *= step.scale
        products.append(product)
    return products


def fold_layer(
    tensors: Sequence[TensorFacts], step: Step, running: float, family: Family
) -> dict[str, Fold]:
    """Return local name → fold of the tensors of one layer that the step's numbers change.

    Args:
        tensors: The layer's tensors.
        step: The step that takes it; the layer can be folded (see ``fold_problem``).
        running: Product of the scales up to the step, S.
        family: What is known of the models.
    """
    if step.qk == step.write == running == 1.0:
        return {}
    parts = LayerParts.of(tensors)
    folds = {}
    for facts in tensors:
        name = local_name(facts.name)
        factor = _factor(parts, parts.by_name[name], step, running)
        if factor != 1.0:
            folds[name] = _fold(facts, parts.by_name[name], factor, family)
    return folds


def fold_final_norm(facts: TensorFacts, running: float, family: Family) -> Fold | None:
    """Return the fold of a tensor after the layers: the last norm's gain has the sign of S."""
    is_gain = facts.role == "norm" and not facts.name.endswith(".bias")
    if running > 0 or not is_gain or facts.before:
        return None
    return _gain(facts, local_name(facts.name.removesuffix(".weight")), -1.0, family)


def fold_problem(
    tensors: Sequence[TensorFacts], step: Step, running: float, family: Family
) -> str | None:
    """Return why a step has no exact form as weights, or None if it has one."""
    if step.qk == step.write == running == 1.0:
        return None
    if not math.isfinite(running) or running == 0:
        return f"the product of the scales up to it is {running}"
    parts = LayerParts.of(tensors)
    if unknown := parts.unknown():
        return f"it isn't known what its tensor {unknown[0]!r} does"
    if step.qk != 1.0 and (reason := _query_problem(parts, family)):
        return reason
    if step.write == running == 1.0:
        return None
    if running != 1.0:
        if family.refusal:
            return family.refusal
        if not parts.has("read_norm"):
            return "its attention and MLP have no norm before them, so a scale changes their work"
    if not parts.has("write"):
        return "no projection into the residual stream was found among its tensors"
    gains = parts.has("post_norm") or running < 0
    if gains and family.gains is None:
        return "transformers can't build the model, which tells the form of its norms' gains"
    return None


def _query_problem(parts: LayerParts, family: Family) -> str | None:
    if parts.has("query_norm"):
        known = family.gains is not None
        return None if known else "transformers can't build the model, which tells its norms' form"
    fused = [part.module for part in parts.by_name.values() if part.kind == "fused_query"]
    for module in fused:
        if module.rpartition(".")[2] not in family.query_stripes:
            return f"it isn't known which part of {module!r} makes the queries"
    return None if fused or parts.has("query") else "no projection of queries was found in it"


def _factor(parts: LayerParts, part: Part, step: Step, running: float) -> float:
    """What a tensor of a layer is multiplied by."""
    if part.kind in ("write", "post_norm"):
        folded_into = "post_norm" if parts.has("post_norm") else "write"
        return step.write / running if part.kind == folded_into else 1.0
    if part.kind == "query_norm":
        return step.qk
    if part.kind in ("query", "fused_query"):
        return 1.0 if parts.has("query_norm") else step.qk
    if part.kind == "read_norm" and not part.is_bias:
        return math.copysign(1.0, running)
    return 1.0


def _fold(facts: TensorFacts, part: Part, factor: float, family: Family) -> Fold:
    if part.kind == "fused_query":
        period, count = family.query_stripes[part.module.rpartition(".")[2]]
        # GPT-2 stores its projections with the outputs last.
        first_is_input = len(facts.shape) == 2 and facts.shape[0] == family.hidden != period
        stripes = Stripes(1 if first_is_input else 0, period, count)
        return Fold(facts.shape, factor, stripes=stripes)
    if part.kind in ("post_norm", "query_norm", "read_norm") and not part.is_bias:
        return _gain(facts, part.module, factor, family)
    return Fold(facts.shape, factor)


def _gain(facts: TensorFacts, module: str, factor: float, family: Family) -> Fold:
    """The fold that multiplies a norm's gain: 1 + w' = factor·(1 + w) in Gemma's form."""
    one_plus = family.gains is not None and module in family.gains
    return Fold(facts.shape, factor, offset=factor - 1.0 if one_plus else 0.0)
