"""The references in docs/, made from the run file's models and the plug-ins' declarations."""

import typing
from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from evomerge.cli.catalogue import (
    Kind,
    declarations,
    default_of,
    range_of,
    traits_of,
)
from evomerge.config import (
    DataflowConfig,
    EvaluatorConfig,
    ExecutionConfig,
    MeasureConfig,
    NetworkConfig,
    ObjectiveConfig,
    PhaseConfig,
    RecipeConfig,
    RunConfig,
    ScalariseConfig,
    SearchConfig,
    SourceConfig,
    StageConfig,
    StopConfig,
)
from evomerge.recipes.declarations import Declaration

_BLOCKS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("The whole file", RunConfig),
    ("`sources.NAME`", SourceConfig),
    ("`recipe`", RecipeConfig),
    ("`recipe.parameters[i]`", StageConfig),
    ("`dataflow`", DataflowConfig),
    ("`network`", NetworkConfig),
    ("`evaluators.NAME`", EvaluatorConfig),
    ("`objectives.NAME`", ObjectiveConfig),
    ("`search`", SearchConfig),
    ("`search.phases[i]`", PhaseConfig),
    ("`search.stop`", StopConfig),
    ("`search.scalarise`", ScalariseConfig),
    ("`search.measures.NAME`", MeasureConfig),
    ("`execution`", ExecutionConfig),
)
_WORDS = {str: "text", int: "whole number", float: "number", bool: "true/false"}
_NOTE = "<!-- Made by docs/generate.py; edit the code instead. -->"


def run_file_reference() -> str:
    """Return docs/run-file.md."""
    parts = [
        _NOTE,
        "# The run file",
        "A run file is YAML (scalars as in YAML 1.2). Unknown keys are refused, and all mistakes "
        "are reported at once. Relative paths are relative to the working folder. "
        "`evomerge run CONFIG --set KEY=VALUE` replaces single values: `--set search.budget=40`, "
        "`--set recipe.parameters[0].method=ties`. For completion in an editor, start the file "
        "with `# yaml-language-server: $schema=schema.json` (`evomerge schema > schema.json`).",
    ]
    for title, model in _BLOCKS:
        parts += [f"## {title}", _first_line(model), _key_table(model)]
    return "\n\n".join(parts) + "\n"


def plugins_reference() -> str:
    """Return docs/plugins.md: all that `evomerge list` shows; loads torch."""
    parts = [
        _NOTE,
        "# Methods, evaluators, searchers, executors and networks",
        "What `evomerge list` shows. Own ones join as told in [extending.md](extending.md).",
    ]
    for kind in Kind:
        parts.append(f"## {kind.value.capitalize()}")
        for declaration in declarations(kind).values():
            parts += _describe(declaration, kind)
    return "\n\n".join(parts) + "\n"


def _key_table(model: type[BaseModel]) -> str:
    rows = [
        (f"`{field.alias or name}`", _type(field.annotation), _default(field), _help(field))
        for name, field in model.model_fields.items()
    ]
    if model.model_config.get("extra") == "allow":
        rows.append(("*any other*", "", "", "See [plugins.md](plugins.md)."))
    return _markdown(("key", "value", "default", "meaning"), rows)


def _describe(declaration: Declaration, kind: Kind) -> Iterator[str]:
    yield f"### `{declaration.name}`"
    traits = traits_of(declaration, kind)
    yield declaration.summary + (f" ({traits})" if traits else "")
    if declaration.parameters:
        rows = [
            (f"`{p.name}`", p.kind, default_of(p), range_of(p), _marks(p) + p.help)
            for p in declaration.parameters
        ]
        yield _markdown(("parameter", "type", "default", "range", "meaning"), rows)


def _marks(parameter: Any) -> str:
    marks = [
        word
        for word, holds in (
            ("per source", parameter.per_source),
            ("searchable", parameter.searchable),
            ("whole model", parameter.whole_model),
        )
        if holds
    ]
    return f"*{', '.join(marks)}.* " if marks else ""


def _markdown(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines
    )


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0].replace("``", "`")


def _help(field: FieldInfo) -> str:
    bounds = []
    for constraint in field.metadata:
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            if (bound := getattr(constraint, name, None)) is not None:
                bounds.append(f"{sign} {bound}")
    text = field.description or ""
    return f"{text} ({', '.join(bounds)})" if bounds else text


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is PydanticUndefined or field.default is None:
        return ""
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)


def _type(annotation: Any) -> str:
    """Return ``annotation`` in the words of a run file."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, UnionType):
        return _type(next(a for a in arguments if a is not type(None)))
    if origin is typing.Literal:
        return " | ".join(map(str, arguments))
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        inner = _type(arguments[1])
        return "mapping" if arguments[1] is Any else f"mapping name → {inner}"
    if annotation is type(None):
        return "nothing"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.__name__.removesuffix("Config").lower()
    return _WORDS.get(annotation, "any")
