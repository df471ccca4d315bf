"""The range of a gene, read from a ``search`` block and checked against the parameter's own."""

from collections.abc import Mapping
from typing import Any, Literal

from evomerge.errors import Problem, RecipeError, nearest
from evomerge.recipes.declarations import Parameter
from evomerge.recipes.genes import Gene

RANGE_KEYS = ("low", "high", "scale", "step", "choices")


def range_from(raw: Any, parameter: Parameter, key: str, problems: list[Problem]) -> Gene | None:
    """Return a nameless gene with the range of a ``search`` block, or None after a problem."""
    options = {} if raw is None else raw
    if not isinstance(options, Mapping):
        problems.append(Problem(key, f"got {raw!r}, expected {{low: …, high: …}} or {{}}."))
        return None
    found = [
        Problem(f"{key}.{name}", f"unknown key; {nearest(str(name), RANGE_KEYS)}")
        for name in options
        if name not in RANGE_KEYS
    ]
    gene = None
    if "choices" in options or parameter.kind in ("bool", "str"):
        gene = _choices(options, parameter, key, found)
    elif parameter.kind in ("float", "int"):
        gene = _range(options, parameter, key, found)
    else:
        found.append(Problem(key, f"a {parameter.kind} can't be searched. Give a value."))
    problems.extend(found)
    return gene if not found else None


def _choices(
    options: Mapping[str, Any], parameter: Parameter, key: str, found: list[Problem]
) -> Gene | None:
    default = (False, True) if parameter.kind == "bool" else parameter.choices
    choices = options.get("choices", list(default))
    if not isinstance(choices, (list, tuple)) or not choices:
        found.append(Problem(f"{key}.choices", f"got {choices!r}, expected a list of values."))
        return None
    found += [
        Problem(f"{key}.{name}", "has no meaning beside choices. Remove it.")
        for name in ("low", "high", "scale", "step")
        if name in options
    ]
    for index, choice in enumerate(choices):
        if message := parameter.check(choice):
            found.append(Problem(f"{key}.choices[{index}]", message))
        elif choice in choices[:index]:
            found.append(Problem(f"{key}.choices[{index}]", f"{choice!r} is listed twice."))
    if found:
        return None
    values = (float(c) if parameter.kind == "float" else c for c in choices)
    return Gene("", "categorical", choices=tuple(values))


def _range(
    options: Mapping[str, Any], parameter: Parameter, key: str, found: list[Problem]
) -> Gene | None:
    bounds = {}
    for side, own, limit in (
        ("low", parameter.search_low, parameter.low),
        ("high", parameter.search_high, parameter.high),
    ):
        value = options.get(side, own if own is not None else limit)
        if value is None:
            message = f"{parameter.name} has no {side}est value of its own. Give {side}."
            found.append(Problem(f"{key}.{side}", message))
        elif message_ := parameter.check(value):
            found.append(Problem(f"{key}.{side}", message_))
        else:
            bounds[side] = value
    scale, step = options.get("scale", parameter.scale), options.get("step", parameter.step)
    if scale not in ("linear", "log"):
        found.append(
            Problem(f"{key}.scale", f"got {scale!r}; {nearest(str(scale), ('linear', 'log'))}")
        )
    if isinstance(step, bool) or not isinstance(step, (int, float)) or not 0 <= step < float("inf"):
        found.append(Problem(f"{key}.step", f"got {step!r}, expected a number, 0 for no steps."))
    elif parameter.kind == "int" and step != int(step):
        found.append(Problem(f"{key}.step", f"got {step!r}, expected a whole number."))
    if len(bounds) == 2 and bounds["low"] >= bounds["high"]:
        message = f"low is {bounds['low']:g} and high is {bounds['high']:g}; expected low < high."
        found.append(Problem(key, message))
    elif scale == "log" and bounds.get("low", 1) <= 0:
        found.append(
            Problem(f"{key}.low", f"got {bounds['low']:g}; a log scale needs low above 0.")
        )
    if found:
        return None
    kind: Literal["float", "int"] = "int" if parameter.kind == "int" else "float"
    try:
        return Gene("", kind, float(bounds["low"]), float(bounds["high"]), scale, float(step))
    except RecipeError as error:
        found.append(Problem(key, str(error).replace("gene '': ", "")))
        return None
