"""What every space of routes has: the layers to choose from, and genes that decide on the route."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import RecipeError
from evomerge.recipes.genes import Gene
from evomerge.recipes.recipe import Dataflow, Step

SPACES = ("sakana", "path", "blocks")
SCALES = ("none", "hop", "table", "network")


@dataclass(frozen=True)
class RouteSpec:
    """Which routes a search may propose; the ``dataflow`` block of a run file, checked.

    Args:
        space: ``sakana``: all layers in order, repeated, each taken or not; ``path``: any sequence;
            ``blocks``: a few runs of contiguous layers.
        layers: (source or stage, number of its layers), the named model first.
        max_steps: Most steps of a route.
        repeats: (sakana) how often all layers are laid out.
        blocks: (blocks) most blocks of a route.
        scales: How hops are scaled; see ``recipes.hops``.
        scale_range: Smallest and largest scale; 1 lies between.
        embedding, norm, head: Sources or stages that these come from.
    """

    space: Literal["sakana", "path", "blocks"]
    layers: tuple[tuple[str, int], ...]
    max_steps: int
    repeats: int = 3
    blocks: int = 4
    scales: Literal["none", "hop", "table", "network"] = "none"
    scale_range: tuple[float, float] = (0.5, 2.0)
    embedding: str = ""
    norm: str = ""
    head: str = ""

    @property
    def model(self) -> str:
        """The named model, whose layers come first."""
        return self.layers[0][0]

    @property
    def choices(self) -> tuple[tuple[str, int], ...]:
        """All layers, ``M`` in number, in order."""
        return tuple((name, layer) for name, n in self.layers for layer in range(n))

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for each of ``choices``, as genes' names hold it."""
        return tuple(f"{name}.{layer}" for name, layer in self.choices)

    def dataflow(self, steps: Sequence[Step]) -> Dataflow:
        """Return the route through ``steps``."""
        return Dataflow(
            tuple(steps),
            embedding=self.embedding or self.model,
            norm=self.norm or self.model,
            head=self.head or self.model,
        )

    def own_route(self, name: str) -> tuple[Step, ...]:
        """Return the layers of one source or stage, in order."""
        return tuple(Step(name, layer) for layer in range(dict(self.layers)[name]))

    def probe(self, scale: float) -> Dataflow:
        """Return a route through all of ``choices``, each after the first with ``scale``."""
        steps = [Step(name, layer, scale) for name, layer in self.choices]
        return self.dataflow([replace(steps[0], scale=1.0), *steps[1:]])

    def label_of(self, name: str) -> str:
        """Return what the warm start of ``own_route(name)`` is called."""
        whole = self.dataflow(())
        own = {whole.embedding, whole.norm, whole.head} == {name}
        return f"parent:{name}" if own else f"route:{name}"


class RouteGenes(Protocol):
    """The genes of one kind of route space, one number each.

    Numbers are values as ``SearchSpace`` has them, shape ``(..., d)``; categoricals are indices.
    """

    spec: RouteSpec
    genes: tuple[Gene, ...]

    def steps(self, genome: Mapping[str, Any]) -> tuple[Step, ...]:
        """Return the route of ``genome``."""

    def genome_of(self, steps: Sequence[Step]) -> dict[str, Any]:
        """Return the genome of a route.

        Raises:
            RecipeError: The space has no such route; the message says why.
        """

    def activity(self, numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which genes count, shape ``(..., d)``."""


def own_starts(routes: RouteGenes) -> list[tuple[str, dict[str, Any]]]:
    """Return (label, genome) of each source's own layers in order, where the space has them."""
    found = []
    for name, _ in routes.spec.layers:
        try:
            genome = routes.genome_of(routes.spec.own_route(name))
        except RecipeError:
            continue
        found.append((routes.spec.label_of(name), genome))
    return found


def check_steps(steps: Sequence[Step], spec: RouteSpec) -> None:
    """Refuse what no route space has.

    Raises:
        RecipeError: No step, too many, ``qk`` or ``write`` other than 1, a layer that isn't among
            the space's, or a first step with a scale.
    """
    if not 1 <= len(steps) <= spec.max_steps:
        raise RecipeError(
            f"the recipe's route has {len(steps)} steps; this search allows 1 to {spec.max_steps}. "
            "Raise dataflow.max_steps."
        )
    known = set(spec.choices)
    for number, step in enumerate(steps):
        if (step.source, step.layer) not in known:
            raise RecipeError(
                f"step {number} of the recipe's route takes layer {step.layer} of {step.source!r}, "
                "which this search doesn't route through. Add it to dataflow.sources."
            )
        if step.qk != 1 or step.write != 1:
            raise RecipeError(
                f"step {number} of the recipe's route has qk {step.qk:g} and write {step.write:g}; "
                "a search has 1 for both. Remove them, or merge the recipe as it is."
            )
    if steps[0].scale != 1:
        raise RecipeError(
            f"the first step of the recipe's route has the scale {steps[0].scale:g}; in a search "
            "it is 1. Remove it."
        )
