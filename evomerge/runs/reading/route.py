"""The route of a recipe, drawn with what can be known of its sources here. Never imports torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evomerge.errors import EvomergeError, ModelError
from evomerge.recipes.drawing import Drawing, draw_route, plain_text
from evomerge.recipes.drawing_svg import draw_svg

SVG_FILE = "route.svg"
_CARD_WIDTH = 100


def route_of(recipe: Mapping[str, Any]) -> Drawing | None:
    """Return the drawing of a plain recipe, or None where it has no dataflow.

    The depth of a source is known where it lies on this machine; nothing is downloaded.
    """
    if not recipe.get("dataflow"):
        return None
    found = {
        name: depth_of(source["path"], source.get("revision"))
        for name, source in recipe["sources"].items()
    }
    return draw_route(recipe, {name: depth for name, depth in found.items() if depth})


def card_section(recipe: Mapping[str, Any]) -> tuple[str, Mapping[str, str]]:
    """Return a model card's section on the route, and the files that it shows.

    Both are empty where there is no route.
    """
    drawing = route_of(recipe)
    if drawing is None:
        return "", {}
    text = plain_text(drawing, _CARD_WIDTH)
    section = f"## Route\n\n![{drawing.title()}]({SVG_FILE})\n\n```text\n{text}```\n"
    return section, {SVG_FILE: draw_svg(drawing)}


def write_svg(recipe: Mapping[str, Any], out: Path, *, heading: str) -> None:
    """Write the picture of a route; ``out`` is a new file.

    Args:
        recipe: A plain recipe.
        out: The file.
        heading: What stands above the route, as the candidate's name.

    Raises:
        EvomergeError: The recipe has no dataflow, or the file exists or can't be written.
    """
    drawing = route_of(recipe)
    if drawing is None:
        raise EvomergeError(
            f"{heading} has no route to draw: it takes all layers of one model in order. Leave "
            "--svg away; routes come from a run file with 'dataflow'."
        )
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(draw_svg(drawing, heading))
    except FileExistsError as error:
        raise EvomergeError(f"{out} exists. Choose another --svg.") from error
    except OSError as error:
        raise EvomergeError(
            f"{out} can't be written: {error.strerror or error}. Choose another --svg."
        ) from error


def depth_of(path: str, revision: str | None) -> int | None:
    """Return how many layers the model's configuration names, or None where it isn't here."""
    from evomerge.models.architecture import configured_depth
    from evomerge.models.checkpoint import read_config
    from evomerge.models.hub import locate

    try:
        return configured_depth(read_config(locate(path, revision, offline=True).folder))
    except ModelError:
        return None
