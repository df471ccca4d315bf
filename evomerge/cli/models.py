"""Commands about models: ``merge``, ``evaluate``, ``prefetch`` and ``demo``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evomerge.cli.display import console, print_json, say
from evomerge.cli.options import JsonOption, SetOption

if TYPE_CHECKING:
    from evomerge.models.hub import Located


def register(app: typer.Typer) -> None:
    """Add this module's commands to ``app``."""
    app.command("prefetch")(prefetch)
    app.command("demo")(demo)


def prefetch(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Run file.")],
    overrides: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Get everything that a run file needs onto this machine, so that it runs offline."""
    from evomerge.config import load_config
    from evomerge.models.hub import prefetch as fetch

    loaded = load_config(config, overrides or ())
    wanted = {name: (source.path, source.revision) for name, source in loaded.sources.items()}

    def show(name: str, located: "Located") -> None:
        at = f" at {located.revision}" if located.revision else ""
        say(f"{name}: {located.folder}{at}")

    found = fetch(wanted, on_source=show)
    if json:
        print_json({"sources": found})


def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the demo is written.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of data and training.")] = 0,
    json: JsonOption = False,
) -> None:
    """Make the quickstart's small models and data: a base and experts for it to merge."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from evomerge.models.demo import make_demo

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True)) as bars:
        tasks: dict[str, int] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = int(bars.add_task(what, total=total))
            bars.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

        make_demo(folder, seed=seed, progress=show)
    say(f"The demo is in {folder}.")
    if json:
        print_json({"folder": folder})
