"""The drawing of a candidate's route on the terminal, and its option."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from evomerge.cli.display import console, say

SvgOption = Annotated[
    Path | None,
    typer.Option(
        "--svg", metavar="FILE", help="Write the drawing of the candidate's route as a picture."
    ),
]

_STYLES = ("cyan", "magenta", "green", "yellow", "blue", "red")
"""A terminal's own colours, which its theme keeps readable; the letters tell sources beyond six."""


def print_route(recipe: Mapping[str, Any]) -> None:
    """Print the route of a plain recipe and an empty line; nothing where there is no route."""
    from rich.text import Text

    from evomerge.recipes.drawing import text_rows
    from evomerge.runs.reading.route import route_of

    drawing = route_of(recipe)
    if drawing is None:
        return
    out = console()
    title, *rows = text_rows(drawing, out.width)
    out.print(Text(title[0].text, style="bold"))
    for row in rows:
        line = Text()
        for cell in row:
            style = "" if cell.lane is None else f"bold {_STYLES[cell.lane.index % len(_STYLES)]}"
            line.append(cell.text, style)
        line.rstrip()
        out.print(line)
    out.print()


def save_route(recipe: Mapping[str, Any], svg: Path | None, *, heading: str) -> None:
    """Write the picture where the user asks for one."""
    if svg is not None:
        from evomerge.runs.reading.route import write_svg

        write_svg(recipe, svg, heading=heading)
        say(f"The route is drawn in {svg}.")
