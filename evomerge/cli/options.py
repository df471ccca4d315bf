"""Options that several commands share, and the plug-ins that ``--plugin`` names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of the run file; repeatable."),
]
PluginOption = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="Load a plug-in by path; repeatable."),
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.")]
CandidateArgument = Annotated[
    str, typer.Argument(metavar="CANDIDATE", help="A candidate's id, or 'best'.")
]


def load_plugins(files: Sequence[Path] | None) -> None:
    """Load the plug-ins in ``files``.

    Raises:
        PluginError: A file is missing or its import fails.
    """
    from evomerge.recipes.declarations import load_plugin_file

    for file in files or ():
        load_plugin_file(file)


def find_run(path: Path) -> Path:
    """Return ``path`` if it is the folder of a run.

    Raises:
        LedgerError: It isn't; the nearest run beside it is named.
    """
    from evomerge.errors import LedgerError, nearest

    if (path / "run.json").is_file():
        return path
    beside = {str(file.parent) for file in path.parent.glob("*/run.json")}
    beside |= {str(file.parent) for file in Path("runs").glob("*/run.json")}
    what = "is not the folder of a run" if path.exists() else "does not exist"
    if not beside:
        raise LedgerError(
            f"{path} {what}. Give the folder that 'evomerge run' made, runs/NAME by default."
        )
    # runs/quikstart and quickstart alike should lead to runs/quickstart.
    by_name = {Path(run).name: run for run in beside}
    hint = nearest(path.name, by_name)
    raise LedgerError(f"{path} {what}; {hint} They are in {', '.join(_parents(beside))}.")


def _parents(runs: set[str]) -> list[str]:
    return sorted({str(Path(run).parent) for run in runs})
