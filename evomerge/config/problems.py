"""What pydantic found wrong with a run file, said in the user's words: one line a mistake."""

import typing
from collections.abc import Sequence
from types import UnionType
from typing import Any

from pydantic import BaseModel, ValidationError

from evomerge.config.yaml_text import join_key
from evomerge.errors import Problem, nearest

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "nothing (leave the key out)",
    "string_too_short": "a text that is not empty",
    "finite_number": "a finite number",
}


def describe(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Return the mistakes in ``error`` in the order of the file's blocks.

    Args:
        error: What validating a run file as ``model`` raised.
        model: The model of the whole file; unknown keys are compared with its fields.
    """
    return [
        Problem(_key(item["loc"]), _message(item, model))
        for item in error.errors(include_url=False)
    ]


def model_at(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel] | None:
    """Return the model of the block at ``path`` of a file; None where the block is free-form."""
    annotation: Any = model
    for part in path:
        if _is_model(annotation):
            annotation = fields_of(annotation).get(str(part))
        else:
            arguments = typing.get_args(annotation)
            annotation = arguments[-1] if arguments else None
        annotation = _without_none(annotation)
    return annotation if _is_model(annotation) else None


def fields_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return key, as the user writes it → annotation."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def show(value: Any) -> str:
    """Return what the user wrote, short enough for one line."""
    if isinstance(value, dict):
        return f"a mapping with {', '.join(map(str, list(value)[:4])) or 'no keys'}"
    words = {"None": "nothing", "True": "true", "False": "false"}
    text = words.get(repr(value), repr(value))
    return text if len(text) <= 80 else f"{text[:77]}…"


def _key(loc: Sequence[str | int]) -> str:
    key = ""
    for part in loc:
        key = join_key(key, part)
    return key


def _message(item: Any, model: type[BaseModel]) -> str:
    kind, loc, found = item["type"], item["loc"], show(item["input"])
    context = item.get("ctx", {})
    parent = model_at(model, loc[:-1])
    if kind == "missing":
        return f"missing. Expected: {_description(parent, loc[-1])}"
    if kind == "extra_forbidden":
        return f"unknown key; {nearest(str(loc[-1]), fields_of(parent) if parent else ())}"
    if kind == "literal_error":
        return _one_of(item["input"], found, context["expected"])
    if kind == "string_pattern_mismatch":
        return f"got {found}, expected letters, digits, '.', '_', '-', the first a letter or digit."
    if kind in ("greater_than_equal", "greater_than", "less_than_equal", "less_than"):
        bound = next(iter(context.values()))
        words = kind.replace("_equal", " or equal to").replace("_", " ")
        words = {"greater than or equal to": "at least", "less than or equal to": "at most"}.get(
            words, words
        )
        return f"got {found}, expected {words} {bound}."
    if kind == "too_short":
        least, n = context["min_length"], context["actual_length"]
        found = f"has {n} {'entry' if n == 1 else 'entries'}" if n else "is empty"
        return f"{found}, expected at least {least} {'entry' if least == 1 else 'entries'}."
    if kind == "value_error":
        return str(context["error"])
    if kind in _EXPECTED:
        hint = " Put it in quotes." if kind == "string_type" and _is_number(item["input"]) else ""
        return f"got {found}, expected {_EXPECTED[kind]}.{hint}"
    return f"got {found}: {item['msg']}."


def _description(model: type[BaseModel] | None, key: str | int) -> str:
    fields = model.model_fields.items() if model else ()
    return next((f.description or "" for name, f in fields if (f.alias or name) == key), "a value.")


def _one_of(value: Any, found: str, expected: str) -> str:
    """``expected`` is pydantic's list: ``'mean', 'min' or 'max'``."""
    allowed = [word.strip("' ") for word in expected.replace(" or ", ", ").split(",")]
    if len(allowed) == 1:
        return f"got {found}, expected {allowed[0]}."
    return f"got {found}; {nearest(str(value), allowed)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, bool))


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (typing.Union, UnionType):
        kinds = [a for a in typing.get_args(annotation) if a is not type(None)]
        return kinds[0] if len(kinds) == 1 else None
    return annotation
