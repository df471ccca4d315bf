"""Coefficients of a recipe as functions of the tensor.

Five node types, freely nested, each with one plain JSON form that is also its canonical form::

    0.5                                            the same everywhere
    {gradient: [0, 1, 0.5]}                        piecewise linear over depth, K anchors
    {block: 2, values: [0.1, 0.2, 0.3]}            one value for each 2 contiguous layers
    {by: [{filter: attn, value: V}, {value: V}]}   first filter that matches wins; last: the rest
    {tensors: {NAME: 0.5}, else: 0}                by full tensor name

What stands before the layers counts as depth 0 and joins the first block, what stands after them
as depth 1 and the last block. A filter is a role (``embed attn mlp norm head other``), ``re:REGEX``
searched in the tensor's name, or ``has:TEXT`` for a plain substring (mergekit's rule).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evomerge.errors import RecipeError
from evomerge.models.architecture import ROLES, TensorFacts
from evomerge.recipes.declarations import Scalar
from evomerge.recipes.segments import parse_segments

Value = Any
"""A parsed value: a Scalar, or one of the mappings of this module in canonical form."""


def parse_value(
    raw: Any, check: Callable[[Any], str | None], key: str, *, kind: str = "float"
) -> Value:
    """Return ``raw`` in canonical form.

    A bare list is a gradient. A node whose leaves are all equal becomes that scalar, so that equal
    recipes have equal hashes.

    Args:
        raw: What the user wrote or a space decoded.
        check: Returns what is wrong with one leaf, or None.
        key: Where the value stands; used in messages.
        kind: The parameter's kind; a ``float``'s leaves become floats, and only it has gradients.

    Raises:
        RecipeError: A leaf or node has the wrong form; the message starts with ``key``.
    """
    if type(raw) is float and kind == "float":  # by far the most frequent leaf
        if message := check(raw):
            raise RecipeError(f"{key}: {message}")
        return raw + 0.0
    if kind == "segments":
        return parse_segments(raw, key)
    if kind in ("list", "mapping"):
        if message := check(raw):
            raise RecipeError(f"{key}: {message}")
        return raw
    if isinstance(raw, (list, tuple)):
        raw = {"gradient": list(raw)}
    if not isinstance(raw, Mapping):
        if message := check(raw):
            raise RecipeError(f"{key}: {message}")
        # Adding 0.0 turns -0.0 into 0.0: equal numbers must have equal hashes.
        number = kind == "float" and isinstance(raw, (int, float)) and not isinstance(raw, bool)
        return float(raw) + 0.0 if number else raw
    if "gradient" in raw and kind != "float":
        raise RecipeError(
            f"{key}: got a gradient, but only numbers can be interpolated over depth. "
            "Give {block: K, values: […]} or one value."
        )
    node = _parse_node(dict(raw), lambda item, at: parse_value(item, check, at, kind=kind), key)
    if "by" in node and "filter" not in node["by"][0]:
        return node["by"][0]["value"]
    leaves = _leaves(node)
    # A tensor table without an 'else' keeps its names: it may leave tensors out.
    if _is_total(node) and all(leaf == leaves[0] for leaf in leaves):
        return leaves[0]
    return node


def evaluate(value: Value, tensor: TensorFacts, n_layers: int) -> Scalar:
    """Return the coefficient of ``tensor`` in a model of ``n_layers`` layers."""
    if not isinstance(value, Mapping):
        return value  # type: ignore[no-any-return]
    if "gradient" in value:
        return _interpolate(value["gradient"], tensor.depth(n_layers))
    if "block" in value:
        block = tensor.block(value["block"], n_layers)
        if block >= len(value["values"]):
            raise RecipeError(
                f"a value by blocks of {value['block']} layers has {len(value['values'])} values, "
                f"but the model has {n_layers} layers. Give one value a block."
            )
        return value["values"][block]  # type: ignore[no-any-return]
    if "by" in value:
        for case in value["by"]:
            if "filter" not in case or matches(case["filter"], tensor):
                return evaluate(case["value"], tensor, n_layers)
        raise RecipeError(
            f"no filter matches tensor {tensor.name!r} (role {tensor.role}). "
            "End the list with a case that has only 'value'."
        )
    if tensor.name in value["tensors"]:
        return evaluate(value["tensors"][tensor.name], tensor, n_layers)
    if "else" not in value:
        raise RecipeError(f"no value for tensor {tensor.name!r}. Add it, or an 'else'.")
    return evaluate(value["else"], tensor, n_layers)


def matches(filter: str, tensor: TensorFacts) -> bool:
    """Tell whether ``filter`` (role, ``re:REGEX`` or ``has:TEXT``) selects ``tensor``."""
    if filter.startswith("re:"):
        return re.search(filter[3:], tensor.name) is not None
    if filter.startswith("has:"):
        return filter[4:] in tensor.name
    return tensor.role == filter


def check_filter(filter: Any) -> str | None:
    """Return what is wrong with ``filter``, or None."""
    if not isinstance(filter, str):
        return f"got {filter!r}, expected a role, 're:REGEX' or 'has:TEXT'."
    if filter.startswith("re:"):
        try:
            re.compile(filter[3:])
        except re.error as error:
            return f"{filter!r} is not a regular expression: {error}."
        return None
    if filter.startswith("has:") or filter in ROLES:
        return None
    return f"got {filter!r}, expected one of {', '.join(ROLES)}, 're:REGEX' or 'has:TEXT'."


def _parse_node(
    node: dict[str, Any], leaf: Callable[[Any, str], Value], key: str
) -> dict[str, Any]:
    kind = tuple(sorted(node))
    if kind == ("gradient",):
        return {"gradient": _scalars(node["gradient"], leaf, f"{key}.gradient")}
    if kind == ("block", "values"):
        if (
            not isinstance(node["block"], int)
            or isinstance(node["block"], bool)
            or node["block"] < 1
        ):
            raise RecipeError(
                f"{key}.block: got {node['block']!r}, expected a whole number of layers ≥ 1."
            )
        return {"block": node["block"], "values": _scalars(node["values"], leaf, f"{key}.values")}
    if kind == ("by",):
        return {"by": _cases(node["by"], leaf, f"{key}.by")}
    if kind in (("tensors",), ("else", "tensors")) and isinstance(node["tensors"], Mapping):
        tensors = {
            str(name): leaf(raw, f"{key}.tensors") for name, raw in sorted(node["tensors"].items())
        }
        rest = {"else": leaf(node["else"], f"{key}.else")} if "else" in node else {}
        return {"tensors": tensors, **rest}
    raise RecipeError(
        f"{key}: got a mapping with {', '.join(map(str, node)) or 'no keys'}, expected a number, "
        "{gradient: […]}, {block: K, values: […]}, {by: [{filter, value}, …]} or {tensors: {…}}."
    )


def _scalars(raw: Any, leaf: Callable[[Any, str], Value], key: str) -> list[Scalar]:
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not raw:
        raise RecipeError(f"{key}: got {raw!r}, expected a list of values.")
    for item in raw:
        if type(item) is not float and isinstance(item, (Mapping, list, tuple)):
            raise RecipeError(f"{key}: got {item!r} inside a list, expected plain values.")
    return [leaf(item, key) for item in raw]


def _cases(raw: Any, leaf: Callable[[Any, str], Value], key: str) -> list[dict[str, Any]]:
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not raw:
        raise RecipeError(f"{key}: got {raw!r}, expected a list of {{filter, value}}.")
    cases = []
    for index, case in enumerate(raw):
        where = f"{key}[{index}]"
        if not isinstance(case, Mapping) or "value" not in case or set(case) - {"filter", "value"}:
            raise RecipeError(f"{where}: got {case!r}, expected {{filter: …, value: …}}.")
        parsed = {"value": leaf(case["value"], where)}
        if case.get("filter") is not None:
            if message := check_filter(case["filter"]):
                raise RecipeError(f"{where}.filter: {message}")
            parsed["filter"] = case["filter"]
        cases.append(parsed)
        if "filter" not in parsed:  # what follows can't be reached
            break
    return cases


def _leaves(value: Value) -> list[Scalar]:
    if not isinstance(value, Mapping):
        return [value]
    if "by" in value:
        return [leaf for case in value["by"] for leaf in _leaves(case["value"])]
    if "tensors" in value:
        rest = _leaves(value["else"]) if "else" in value else []
        return [leaf for item in value["tensors"].values() for leaf in _leaves(item)] + rest
    return list(value.get("gradient") or value["values"])


def _is_total(value: Value) -> bool:
    """Tell whether every tensor has a value."""
    if not isinstance(value, Mapping):
        return True
    if "by" in value:
        cases = value["by"]
        return "filter" not in cases[-1] and all(_is_total(case["value"]) for case in cases)
    return "tensors" not in value or ("else" in value and _is_total(value["else"]))


def _interpolate(anchors: Sequence[Any], depth: float) -> float:
    """Interpolate K ``anchors`` at x = depth·(K − 1); closed_form section 37."""
    position = depth * (len(anchors) - 1)
    left = min(int(position), len(anchors) - 1)
    right = min(left + 1, len(anchors) - 1)
    if anchors[left] == anchors[right]:  # a constant gradient equals its scalar exactly
        return float(anchors[left])
    fraction = position - left
    return float((1 - fraction) * anchors[left] + fraction * anchors[right])
