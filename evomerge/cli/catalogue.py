"""Commands about what evomerge can do: ``list`` and ``schema``."""

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evomerge.cli.display import console, plain, print_json, print_table, table
from evomerge.cli.options import JsonOption, PluginOption, load_plugins

if TYPE_CHECKING:
    from evomerge.recipes.declarations import Declaration, Parameter


class Kind(enum.StrEnum):
    """What ``evomerge list`` can list."""

    methods = "methods"
    evaluators = "evaluators"
    searchers = "searchers"
    executors = "executors"
    networks = "networks"


def register(app: typer.Typer) -> None:
    """Add this module's commands to ``app``."""
    app.command("list")(list_plugins)
    app.command("schema")(schema)


def list_plugins(
    kind: Annotated[
        Kind,
        typer.Argument(
            metavar="KIND", help="methods, evaluators, searchers, executors or networks."
        ),
    ],
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Only this one.")] = None,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """List plug-ins of a kind (methods, searchers, networks …) with parameters and ranges."""
    load_plugins(plugin)
    found = declarations(kind)
    if name is not None:
        found = {name: _registry(kind).get(name).declaration}
    if json:
        print_json({kind.value: [describe(d, kind) for d in found.values()]})
        return
    for declaration in found.values():
        _print_declaration(declaration, kind)


def declarations(kind: Kind) -> "Mapping[str, Declaration]":
    """Return name → declaration of all plug-ins of ``kind``."""
    found: Mapping[str, Declaration] = _registry(kind).declarations()
    return found


def describe(declaration: "Declaration", kind: Kind) -> dict[str, Any]:
    """Return ``declaration`` as plain data, with the fields that mean something for its kind."""
    described: dict[str, Any] = {
        "name": declaration.name,
        "summary": declaration.summary,
        "paper": declaration.paper,
    }
    if kind is Kind.methods:
        described |= {
            "needs_base": declaration.needs_base,
            "min_inputs": declaration.min_inputs,
            "max_inputs": declaration.max_inputs,
        }
    if kind is Kind.searchers:
        described["multi_objective"] = declaration.multi_objective
    described["parameters"] = [plain(parameter) for parameter in declaration.parameters]
    return described


def range_of(parameter: "Parameter") -> str:
    """Return the allowed values of ``parameter`` as people read them."""
    if parameter.choices:
        return " | ".join(parameter.choices)
    if parameter.low is None and parameter.high is None:
        return ""
    if parameter.high is None:
        return f"≥ {parameter.low:g}"
    if parameter.low is None:
        return f"≤ {parameter.high:g}"
    return f"{parameter.low:g} … {parameter.high:g}"


def default_of(parameter: "Parameter") -> str:
    """Return the default of ``parameter`` as a run file would write it."""
    if parameter.required:
        return "required"
    words = {"None": "", "True": "true", "False": "false"}
    return words.get(repr(parameter.default), str(parameter.default))


def traits_of(declaration: "Declaration", kind: Kind) -> str:
    """Return what sets ``declaration`` apart, in one line."""
    traits = []
    if kind is Kind.methods:
        low, high = declaration.min_inputs, declaration.max_inputs
        count = (
            f"{low}" if low == high else f"{low} or more" if high is None else f"{low} to {high}"
        )
        traits.append(f"{count} input{'' if low == high == 1 else 's'}")
        traits += ["needs a base"] if declaration.needs_base else []
    if kind is Kind.searchers and declaration.multi_objective:
        traits.append("several objectives")
    traits += [declaration.paper] if declaration.paper else []
    return ", ".join(traits)


def schema(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write to this file instead of stdout.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Print the JSON schema of run files, for editors.

    Let an editor use it with a first line '# yaml-language-server: $schema=schema.json'.
    """
    import json as json_module

    from evomerge.config import json_schema

    text = json_module.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        print(text, end="")
        return
    out.write_text(text, encoding="utf-8")


def _registry(kind: Kind) -> Any:
    if kind is Kind.methods:
        from evomerge.merging.registry import METHODS

        return METHODS
    if kind is Kind.evaluators:
        from evomerge.evaluation.protocol import EVALUATORS

        return EVALUATORS
    if kind is Kind.searchers:
        from evomerge.search.protocol import SEARCHERS

        return SEARCHERS
    if kind is Kind.networks:
        from evomerge.merging.network_registry import NETWORKS

        return NETWORKS
    from evomerge.execution import EXECUTORS

    return EXECUTORS


def _print_declaration(declaration: "Declaration", kind: Kind) -> None:
    from rich.text import Text

    heading = Text(declaration.name, style="bold")
    heading.append(f"  {traits_of(declaration, kind)}", style="not bold")
    console().print(heading)
    console().print(Text(f"  {declaration.summary}"))
    if declaration.parameters:
        print_table(
            table(
                "",
                ["parameter", "type", "default", "range", "what it does"],
                [
                    (p.name, _type_of(p), default_of(p), range_of(p), p.help)
                    for p in declaration.parameters
                ],
            )
        )
    else:
        console().print("  (no parameters)\n")


def _type_of(parameter: "Parameter") -> str:
    marks = ["per source"] if parameter.per_source else []
    marks += ["searchable"] if parameter.searchable else []
    return f"{parameter.kind} ({', '.join(marks)})" if marks else parameter.kind
