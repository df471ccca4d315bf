"""What a found model is measured against: the base, each source, their uniform average."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from evomerge.config.run import RunConfig
from evomerge.merging.registry import METHODS
from evomerge.recipes.build import build_recipe
from evomerge.recipes.recipe import Recipe
from evomerge.runs.ledger.rows import CandidateRow
from evomerge.runs.setup.prepare import Prepared
from evomerge.runs.setup.sources import OpenedSource
from evomerge.runs.setup.spaces import recipe_spec

UNIFORM = "uniform average"


class Opened(Protocol):
    """A run file with its sources opened."""

    @property
    def config(self) -> RunConfig:
        """The run file."""

    @property
    def sources(self) -> Mapping[str, OpenedSource]:
        """Name → opened source, in the user's order."""

    @property
    def base(self) -> str:
        """Source of configuration and buffers."""


@dataclass(frozen=True)
class Reference:
    """A model to compare with.

    Args:
        label: ``base (NAME)``, a source's name, or ``uniform average``.
        recipe: How a worker builds it.
        row: How the ledger names it.
    """

    label: str
    recipe: Recipe
    row: CandidateRow


def references(prepared: Opened) -> list[Reference]:
    """Return base, sources and the uniform average of what the run merges, in that order.

    Networks that are evolved from scratch have nothing to be compared with.
    """
    if not prepared.sources:
        return []
    found = []
    sources = [item.source for item in prepared.sources.values()]
    spec = replace(recipe_spec(prepared.config, sources), dataflow=None)
    for place, (name, label, stage) in enumerate(_stages(prepared)):
        recipe = build_recipe(replace(spec, **_form(prepared, stage)), METHODS.declarations())
        row = CandidateRow(
            candidate_id=name,
            ask=-1,
            place=place,
            kind="reference",
            origin=label,
            parents=(),
            genome=None,
            recipe_hash=recipe.hash(),
        )
        found.append(Reference(label, recipe, row))
    return found


def reference_recipes(prepared: Opened) -> dict[str, Recipe]:
    """Return the recipes of all references by their ids."""
    return {item.row.candidate_id: item.recipe for item in references(prepared)}


def panel_members(prepared: Prepared) -> list[tuple[CandidateRow, Recipe]]:
    """Return base and sources, which a run scores first where a stability needs them."""
    if not prepared.objectives.needs_panel:
        return []
    return [(item.row, item.recipe) for item in references(prepared) if item.row.origin != UNIFORM]


def _form(prepared: Opened, stage: dict[str, Any]) -> dict[str, Any]:
    """Return the stage of a reference, or its own route where it isn't as deep as the base."""
    depths = {name: item.checkpoint.n_layers for name, item in prepared.sources.items()}
    name = stage["inputs"][0]
    if depths[name] == depths[prepared.base]:
        return {"stages": (stage,)}
    steps = [{"source": name, "layers": [0, depths[name]]}]
    flow = {"steps": steps, "embedding": name, "norm": name, "head": name}
    return {"stages": (), "dataflow": flow}


def _stages(prepared: Opened) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (id, label, stage) of each reference; a plus keeps 'uniform' apart from a source."""
    order = [prepared.base, *(name for name in prepared.sources if name != prepared.base)]
    for name in order:
        label = f"base ({name})" if name == prepared.config.base else name
        yield f"ref-{name}", label, {"method": "passthrough", "inputs": [name]}
    merged = list(
        dict.fromkeys(
            name
            for stage in prepared.config.recipe.parameters
            for name in stage.inputs
            if name in prepared.sources
        )
    )
    if len(merged) > 1:
        yield "uniform", UNIFORM, {"method": "linear", "inputs": merged}
