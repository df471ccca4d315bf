"""What objectives may say of a model without scoring it: its steps and its parameters."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from evomerge.evaluation.intervals import Estimate
from evomerge.recipes.recipe import Recipe, Step
from evomerge.runs.ledger.records import Estimates
from evomerge.runs.objectives import RECIPE

if TYPE_CHECKING:  # a driver needs no torch of its own
    from evomerge.merging.engine import Merger


class Sizes:
    """Counts the layers and parameters of the checkpoint that a recipe gives.

    Args:
        merger: Knows the sources; nothing is merged.
        n_layers: Layers of the base, which a recipe without a route has.
    """

    def __init__(self, merger: "Merger", n_layers: int) -> None:
        self._merger = merger
        self._n_layers = n_layers

    def estimates(self, recipe: Recipe) -> Estimates:
        """Return (``RECIPE``, ``steps`` and ``parameters``) → exact number.

        Raises:
            MergeError: The recipe can't be merged.
        """
        flow = recipe.dataflow
        steps = self._n_layers
        if flow is not None:
            steps = len(flow.steps)
            # Numbers change no shape, and a route without them is remembered by the merger.
            plain = tuple(Step(step.source, step.layer) for step in flow.steps)
            recipe = replace(recipe, dataflow=replace(flow, steps=plain), _hash=[])
        specs = self._merger.specs(recipe)
        parameters = sum(math.prod(spec.shape) for spec in specs if "F" in spec.dtype)
        return {
            (RECIPE, "steps"): _exact(steps),
            (RECIPE, "parameters"): _exact(parameters),
        }


def _exact(value: float) -> Estimate:
    return Estimate(float(value), float(value), float(value), 1)
