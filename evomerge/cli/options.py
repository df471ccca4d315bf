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


def load_plugins(files: Sequence[Path] | None) -> None:
    """Load the plug-ins in ``files``.

    Raises:
        PluginError: A file is missing or its import fails.
    """
    from evomerge.recipes.declarations import load_plugin_file

    for file in files or ():
        load_plugin_file(file)
