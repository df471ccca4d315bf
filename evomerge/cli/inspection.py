"""The command ``doctor``: what is here, and what would go wrong, before anything is spent."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evomerge.cli.display import console, print_json, print_table, size, table
from evomerge.cli.options import JsonOption, PluginOption, SetOption, load_plugins

if TYPE_CHECKING:
    from evomerge.runs.doctor import Diagnosis
    from evomerge.runs.machine import Machine

_SOURCE_COLUMNS = (
    "source", "architecture", ">layers", ">width", ">vocabulary", ">parameters", "type", ">size",
    "licence",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add this module's commands to ``app``."""
    app.command("doctor")(doctor)


def doctor(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="Run file to look at.")
    ] = None,
    overrides: SetOption = None,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Show versions, devices and memory, and with CONFIG its sources, tasks and all its problems.

    Exits with 2 where something keeps the run from starting.
    """
    from evomerge.errors import ProblemsError
    from evomerge.runs.check import load_checked
    from evomerge.runs.doctor import diagnose

    load_plugins(plugin)
    loaded = None if config is None else load_checked(config, overrides or ())
    found = diagnose(loaded, where=str(config))
    if json:
        print_json(found)
    else:
        _print_machine(found.machine)
        if config is not None:
            _print_run_file(found)
    if found.problems:
        raise ProblemsError(str(config), found.problems)


def _print_machine(machine: "Machine") -> None:
    print_table(
        table(
            "Versions",
            ["package", "version"],
            [("system", machine.system), *machine.versions.items()],
        )
    )
    rows = [(d.name, d.model, size(d.total_bytes), size(d.free_bytes)) for d in machine.devices]
    rows.append(("disk", str(machine.disk_folder), "", size(machine.disk_free_bytes)))
    title = f"Devices ({machine.processors} processors)"
    print_table(table(title, ["device", "model", ">memory", ">free"], rows))


def _print_run_file(found: "Diagnosis") -> None:
    print_table(
        table(
            "Sources",
            _SOURCE_COLUMNS,
            [
                (
                    s.name,
                    s.architecture.removesuffix("ForCausalLM"),
                    s.n_layers,
                    s.hidden_size,
                    s.vocabulary,
                    f"{s.parameters:,}",
                    " ".join(s.dtypes),
                    size(s.n_bytes),
                    s.licence or "not stated",
                )
                for s in found.sources
            ],
        )
    )
    print_table(
        table(
            "Tasks",
            ["task", "type", ">search", ">validation", ">test", "metrics"],
            [
                (
                    task.name,
                    task.type,
                    *task.splits.values(),
                    ", ".join(f"{name} ({way})" for name, way in task.metrics.items()),
                )
                for task in found.tasks
            ],
        )
    )
    from_hub = [f"{s.name}: {s.folder} at {s.revision}" for s in found.sources if s.revision]
    _print_lines("From the hub", from_hub)
    differences = [f"{s.name}: {line}" for s in found.sources for line in s.differences]
    _print_lines("Differences from the base", differences)
    _print_lines("Licences", found.licences)
    _print_lines("Warnings", found.warnings)
    if not found.problems:
        _print_lines("Nothing keeps this run from starting.", [], always=True)


def _print_lines(title: str, lines: "list[str] | tuple[str, ...]", *, always: bool = False) -> None:
    if lines or always:
        out = console()
        for text in (title, *(f"  {line}" for line in lines), ""):
            out.print(text, markup=False)
