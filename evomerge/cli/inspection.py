"""The command ``doctor``: what is here, and what would go wrong, before anything is spent."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evomerge.cli.display import console, duration, print_json, print_table, size, table
from evomerge.cli.options import JsonOption, PluginOption, SetOption, load_plugins

if TYPE_CHECKING:
    from evomerge.runs.setup.doctor import Diagnosis
    from evomerge.runs.setup.machine import Machine
    from evomerge.runs.setup.memory import MemoryPlan
    from evomerge.runs.setup.pilot import Forecast, Pilot

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
    pilot: Annotated[
        bool,
        typer.Option("--pilot", help="Try three candidates; foretell time and cost of the budget."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show versions, devices and memory, and with CONFIG its sources, tasks and all its problems.

    With CONFIG also what goes where in memory. Exits with 2 where something keeps the run from
    starting.
    """
    from evomerge.errors import EvomergeError, ProblemsError
    from evomerge.runs.setup.check import load_checked
    from evomerge.runs.setup.doctor import diagnose

    if pilot and config is None:
        raise EvomergeError("--pilot needs a run file: evomerge doctor CONFIG --pilot.")
    load_plugins(plugin)
    loaded = None if config is None else load_checked(config, overrides or ())
    found = diagnose(loaded, where=str(config), pilot=pilot)
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
    if found.memory is not None:
        _print_memory(found.memory)
    if found.pilot is not None:
        _print_pilot(found.pilot)
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


def _print_memory(plan: "MemoryPlan") -> None:
    """Print what goes where, and what is needed beside what is free."""
    rows = [
        (row.what, row.where, f"a {row.per}", size(row.n_bytes), "" if row.needed else "if free")
        for row in plan.rows
    ]
    title = f"Memory ({plan.workers} worker{'s' if plan.workers > 1 else ''})"
    print_table(table(title, ["what", "where", "for", ">size", "needed"], rows))
    lines = []
    for where, n_bytes in plan.needed.items():
        on = f" of each GPU, which {plan.per_gpu} share" if where == "GPU" else f" of {where}"
        free = f", {size(plan.free[where])} are free here" if where in plan.free else ""
        lines.append(f"{size(n_bytes)}{on} needed{free}")
    _print_lines("In all", [*lines, *plan.notes])


def _print_pilot(pilot: "Pilot") -> None:
    """Print what the candidates took, and what that foretells."""
    rows = [
        (t.label, *(f"{s:.2f}" for s in (t.merge_s, t.score_s, t.tokenise_s, t.busy_s)))
        for t in pilot.trials
    ]
    columns = ["candidate", ">merge", ">score", ">tokenise, once", ">in all but that"]
    print_table(table("Pilot (seconds)", columns, rows))
    print_table(
        table(
            f"Foretold for {pilot.budget} candidates on {pilot.workers} "
            f"worker{'s' if pilot.workers > 1 else ''}",
            ["", ">if all are fast", ">typical", ">if all are slow"],
            _forecast_rows(pilot.forecast),
        )
    )
    once = [
        f"{duration(pilot.startup_s)} for a worker to start",
        f"{duration(pilot.tokenise_s)} for it to tokenise",
    ]
    _print_lines("Once, counted in all", once)
    _print_lines("Beware", pilot.notes)


def _forecast_rows(forecast: "Forecast") -> list[tuple[str, ...]]:
    hours = {
        "search": forecast.search_h,
        "re-scoring of the finalists": forecast.rescoring_h,
        "in all": forecast.total_h,
    }
    rows = [(what, *(duration(h * 3600) for h in spread)) for what, spread in hours.items()]
    rows.append(("device-hours", *(f"{value:.3g}" for value in forecast.device_hours)))
    if forecast.cost is not None:
        rows.append(("cost", *(f"{value:.2f}" for value in forecast.cost)))
    return rows
