"""The numbers of a recipe by layer and input, as a heat map shows them. Free of torch."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evomerge.errors import RecipeError
from evomerge.models.architecture import TensorFacts
from evomerge.recipes.segments import SEGMENTS
from evomerge.recipes.values import Value, evaluate
from evomerge.service.reading.flat_layout import ALL, flat_layout

_ALL = ("all",)
_ROLES = ("attn", "mlp", "norm", "other")
_BEFORE, _AFTER = ("embed", True), ("head", False)


def coefficients_of(
    recipe: Mapping[str, Any], depth: int | None, tensors: Sequence[TensorFacts] = ()
) -> list[dict[str, Any]]:
    """Return each numeric option of each stage, laid out over the layers.

    Args:
        recipe: A plain recipe; what evolved networks have instead gives nothing.
        depth: Layers of the base; None where it isn't known, which makes it as deep as the recipe
            has values for.
        tensors: What segments are laid over; none where that isn't known.
    """
    stages = recipe.get("parameters")
    if not isinstance(stages, list):
        return []
    return [item for stage in stages for item in _stage(stage, depth, tensors)]


def has_segments(recipe: Mapping[str, Any]) -> bool:
    """Say if a plain recipe has coefficients by segments."""
    stages = recipe.get("parameters")
    return isinstance(stages, list) and any(SEGMENTS in stage["options"] for stage in stages)


def _stage(
    stage: Mapping[str, Any], depth: int | None, tensors: Sequence[TensorFacts]
) -> Iterator[dict[str, Any]]:
    inputs = [item["source"] for item in stage["inputs"]]
    for option, value in stage["options"].items():
        head = {"stage": stage["name"], "method": stage["method"], "option": option}
        if option == SEGMENTS:
            parts = value if isinstance(value, Mapping) else {ALL: value}
            flat = flat_layout(tensors, parts)
            found = {"inputs": inputs, "segments": parts, "flat": flat, "layers": None, "rows": []}
            yield head | found
            continue
        each = isinstance(value, list) and len(value) == len(inputs)
        values: Sequence[Value] = value if each else [value]
        if not all(_is_numeric(item) for item in values):
            continue
        n = depth or max(_layers(item) for item in values)
        roles = _ROLES if any(_has_roles(item) for item in values) else _ALL
        yield head | {
            "inputs": inputs if each else [],
            "segments": None,
            "flat": None,
            "layers": n,
            "rows": [
                _row(item, name, role, n)
                for item, name in zip(values, inputs if each else [None], strict=True)
                for role in roles
            ],
        }


def _row(value: Value, name: str | None, role: str, n: int) -> dict[str, Any]:
    """Return one row: before the layers, in each layer, after them; None where names decide."""
    named = "other" if role == "all" else role
    layers = [_at(value, named, layer, n) for layer in range(n)]
    ends = [_at(value, kind, None, n, before=before) for kind, before in (_BEFORE, _AFTER)]
    return {"input": name, "role": role, "before": ends[0], "layers": layers, "after": ends[1]}


def _at(value: Value, role: str, layer: int | None, n: int, *, before: bool = True) -> float | None:
    try:
        found = evaluate(value, TensorFacts("", (), "F32", layer, role, before), n)
    except RecipeError:
        return None
    return float(found) if isinstance(found, (int, float)) else None


def _is_numeric(value: Value) -> bool:
    """Say if a value is a number, or a mapping of numbers, somewhere."""
    if isinstance(value, Mapping):
        return any(_is_numeric(leaf) for leaf in _children(value))
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _has_roles(value: Value) -> bool:
    if not isinstance(value, Mapping):
        return False
    return "by" in value or any(_has_roles(leaf) for leaf in _children(value))


def _layers(value: Value) -> int:
    """Return for how many layers a value has numbers of its own."""
    if not isinstance(value, Mapping):
        return 1
    if "block" in value:
        return int(value["block"]) * len(value["values"])
    if "gradient" in value:
        return len(value["gradient"])
    return max((_layers(leaf) for leaf in _children(value)), default=1)


def _children(value: Mapping[str, Any]) -> list[Value]:
    if "by" in value:
        return [case["value"] for case in value["by"]]
    if "tensors" in value:
        return [*value["tensors"].values(), *([value["else"]] if "else" in value else [])]
    return list(value.get("gradient") or value.get("values") or [])
