"""Sakana's route space: all layers in order, repeated, each of them taken or not.

Source: Akiba et al. 2024, Evolutionary Optimization of Model Merging Recipes, arXiv:2403.13187,
section 3.2.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import RecipeError
from evomerge.recipes.genes import Gene
from evomerge.recipes.hops import (
    Hop,
    Hops,
    NetworkHops,
    NoHops,
    PlaceHops,
    TableHops,
    possible_pairs,
    taken_pairs,
)
from evomerge.recipes.recipe import Step
from evomerge.recipes.routes import RouteSpec, check_steps

SIGMA = 1 / 6
"""The step in the unit cube that priors are told in: where the paper has ±2σ."""

FIRST, LAST = "first", "last"


class SakanaRoutes:
    """Genes of ``T = M · repeats`` slots between the named model's first and last layer.

    The ``M`` layers of all sources, the named model's first, are laid out ``repeats`` times; a
    boolean gene a slot says whether the route goes through it. Searchers start at the named model
    itself: 0.5 + 2σ (σ = 1/6) for its layers in the first repetition, 0.5 − 2σ for all other slots,
    the slots of its fixed first and last layer among them. Slots beyond ``max_steps`` aren't taken
    and don't count, nor do scales of hops that the route doesn't take.

    Args:
        spec: What may be proposed; ``max_steps`` has room for the named model.

    Raises:
        RecipeError: The named model has a single layer or more than ``max_steps``.
    """

    def __init__(self, spec: RouteSpec) -> None:
        self.spec = spec
        self._depth = spec.layers[0][1]
        if self._depth < 2:
            raise RecipeError(
                f"{spec.model!r} has a single layer; the space sakana fixes a first and a last "
                "one. Choose another model, or take the space path or blocks."
            )
        if self._depth > spec.max_steps:
            raise RecipeError(
                f"{spec.model!r} has {self._depth} layers and max_steps is {spec.max_steps}; the "
                "space sakana starts at this model. Raise max_steps."
            )
        self._choices = spec.choices
        n_layers = len(self._choices)
        self._n_slots = n_layers * spec.repeats
        self._order = np.array([0, *list(range(n_layers)) * spec.repeats, self._depth - 1])
        repetition = [f"{r}." for r in range(spec.repeats)]
        slots = [repetition[r] + label for r in range(spec.repeats) for label in spec.labels]
        self._keys = [FIRST, *slots, LAST]
        self._takes = [f"dataflow.take.{key}" for key in slots]
        likely = range(1, self._depth - 1)
        places = [0.5 + (2 if slot in likely else -2) * SIGMA for slot in range(self._n_slots)]
        takes = [
            Gene(name, "categorical", choices=(False, True), default=False, prior=place)
            for name, place in zip(self._takes, places, strict=True)
        ]
        self._hops = self._make_hops()
        self.genes: tuple[Gene, ...] = (*takes, *self._hops.genes)

    def steps(self, genome: Mapping[str, Any]) -> tuple[Step, ...]:
        """Return the route of ``genome``: the fixed first layer, the slots taken, the last one."""
        taken = np.flatnonzero([genome[name] for name in self._takes])
        places = [0, *(taken[: self.spec.max_steps - 2] + 1), self._n_slots + 1]
        route = [Step(*self._layer(0))]
        for before, place in itertools.pairwise(places):
            scale = self._hops.scale(genome, self._hop(before, place))
            route.append(Step(*self._layer(place), scale))
        return tuple(route)

    def genome_of(self, steps: Sequence[Step]) -> dict[str, Any]:
        """Return the genome of a route that takes each layer at its first slot.

        Raises:
            RecipeError: The space has no such route.
        """
        check_steps(steps, self.spec)
        number = {choice: index for index, choice in enumerate(self.spec.choices)}
        layers = [number[step.source, step.layer] for step in steps]
        if len(steps) < 2 or layers[0] != 0 or layers[-1] != self._depth - 1:
            raise RecipeError(
                f"the recipe's route doesn't begin and end with the first and last layer of "
                f"{self.spec.model!r}, as the space sakana does. Take the space path."
            )
        places = [0]
        for index, layer in enumerate(layers[1:-1], start=1):
            free = self._order[places[-1] + 1 : -1]
            found = np.flatnonzero(free == layer)
            if not len(found):
                raise RecipeError(
                    f"the recipe's route isn't in order within {self.spec.repeats} repetitions at "
                    f"step {index}. Raise dataflow.repeats, or take the space path."
                )
            places.append(places[-1] + 1 + int(found[0]))
        places.append(self._n_slots + 1)
        hops = [self._hop(i, j) for i, j in itertools.pairwise(places)]
        scales = [step.scale for step in steps[1:]]
        genome: dict[str, Any] = dict.fromkeys(self._takes, False)
        genome |= {self._takes[place - 1]: True for place in places[1:-1]}
        return genome | self._hops.genome_of(list(zip(hops, scales, strict=True)))

    def activity(self, numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which genes count: slots within ``max_steps``, scales of hops that are taken."""
        reached, taken = self._places_taken(numbers)
        if isinstance(self._hops, PlaceHops):
            scales = taken[..., 1:]
        elif isinstance(self._hops, TableHops):
            scales = taken_pairs(taken, self._order, self._hops)
        else:
            scales = np.ones((*taken.shape[:-1], len(self._hops.genes)), dtype=bool)
        return np.concatenate([reached, scales], axis=-1)

    def taken(self, numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which of the layers the route takes, shape ``(..., M)``."""
        _, taken = self._places_taken(numbers)
        layers = np.arange(len(self._choices))
        return np.asarray((taken[..., None] & (self._order[:, None] == layers)).any(axis=-2))

    def _places_taken(
        self, numbers: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which slots are within ``max_steps``, and which places (with the ends) are taken.

        Shapes ``(..., T)`` and ``(..., T + 2)``.
        """
        on = numbers[..., : self._n_slots] == 1
        reached = np.cumsum(on, axis=-1) - on < self.spec.max_steps - 2
        end = np.ones((*on.shape[:-1], 1), dtype=bool)
        return reached, np.concatenate([end, on & reached, end], axis=-1)

    def _make_hops(self) -> Hops:
        spec = self.spec
        if spec.scales == "hop":
            return PlaceHops(self._keys[1:], *spec.scale_range)
        if spec.scales == "table":
            return TableHops(possible_pairs(self._order.tolist()), spec.labels, *spec.scale_range)
        if spec.scales == "network":
            return NetworkHops(len(spec.choices), *spec.scale_range)
        return NoHops()

    def _layer(self, place: int) -> tuple[str, int]:
        return self._choices[self._order[place]]

    def _hop(self, before: int, place: int) -> Hop:
        part = place / (self._n_slots + 1)
        return Hop(int(self._order[before]), int(self._order[place]), part, self._keys[place])
