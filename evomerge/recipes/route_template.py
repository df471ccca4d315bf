"""The template of a search over routes: the recipe of the stages, with a route through them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import RecipeError
from evomerge.recipes.blocks import BlockRoutes
from evomerge.recipes.genes import Gene
from evomerge.recipes.paths import PathRoutes, PathSpace
from evomerge.recipes.reach import make_reach
from evomerge.recipes.recipe import Dataflow, Recipe
from evomerge.recipes.routes import RouteGenes, RouteSpec, own_starts
from evomerge.recipes.sakana import SakanaRoutes
from evomerge.recipes.space import SearchSpace
from evomerge.recipes.template import RecipeTemplate


class RouteTemplate:
    """Recipes of stages and a route, both of which may have genes.

    Args:
        stages: The template of the stages; its plan has no dataflow.
        routes: The route's genes.
    """

    def __init__(self, stages: RecipeTemplate, routes: RouteGenes) -> None:
        self._stages = stages
        self._routes = routes

    def recipe(self, genome: Mapping[str, Any]) -> Recipe:
        """Return the recipe of ``genome``.

        Raises:
            RecipeError: A value is one that a method refuses.
        """
        flow = self._routes.spec.dataflow(self._routes.steps(genome))
        return replace(self._stages.recipe(genome), dataflow=flow, _hash=[])

    def genome_of(self, recipe: Recipe) -> dict[str, Any]:
        """Return the genome whose recipe has the weights of ``recipe``, not yet on the grid.

        A recipe without a route is one through all layers of its last stage, in order.

        Raises:
            RecipeError: The space has no such recipe; the message names what doesn't fit.
        """
        genome = self._stages.genome_of(replace(recipe, dataflow=None, _hash=[]))
        flow = self._whole() if recipe.dataflow is None else self._ours(recipe, recipe.dataflow)
        wanted = self._routes.spec.dataflow(())
        for part in ("embedding", "norm", "head"):
            if getattr(flow, part) != getattr(wanted, part):
                raise RecipeError(
                    f"the recipe's {part} comes from {getattr(flow, part)!r}, in this search from "
                    f"{getattr(wanted, part)!r}. Set dataflow.{part}."
                )
        return genome | self._routes.genome_of(flow.steps)

    def warm_starts(self) -> list[tuple[str, dict[str, Any]]]:
        """Return (label, genome): each source's own layers, each known-good setting of the stages.

        Settings of the stages go with the named model's own route, other routes with the first of
        these settings.
        """
        routes = own_starts(self._routes)
        if not self._stages.genes or not routes:
            return routes
        settings = self._stages.warm_starts()
        if not settings:
            return []
        label_of_model, own = routes[0]
        first = settings[0][1]
        whole = label_of_model == f"parent:{self._stages.result}"
        found = [
            (label if whole else f"{label}/{label_of_model}", setting | own)
            for label, setting in settings
        ]
        return [*found, *((label, first | route) for label, route in routes[1:])]

    def _whole(self) -> Dataflow:
        """Return the route that is the last stage's model."""
        spec, name = self._routes.spec, self._stages.result
        if name not in dict(spec.layers):
            raise RecipeError(
                "the recipe has no dataflow, and the routes of this search don't go through its "
                "result. Give it one, or name its last stage in dataflow.sources."
            )
        return Dataflow(spec.own_route(name), name, name, name)

    def _ours(self, recipe: Recipe, flow: Dataflow) -> Dataflow:
        """Return a recipe's dataflow with this search's names of sources and stages."""
        names = self._stages.names_of(recipe)
        missing = {step.source for step in flow.steps} - set(names)
        if missing:
            raise RecipeError(
                f"the recipe's route goes through {sorted(missing)[0]!r}, which is no source or "
                "stage of this search. Add it to sources."
            )
        steps = tuple(replace(step, source=names[step.source]) for step in flow.steps)
        ends = (names.get(end, end) for end in (flow.embedding, flow.norm, flow.head))
        return Dataflow(steps, *ends)


def route_space(genes: Sequence[Gene], stages: RecipeTemplate, spec: RouteSpec) -> SearchSpace:
    """Return the space of routes through the stages' output and the sources.

    Args:
        genes: Genes of the stages; they come before those of the route.
        stages: Their template.
        spec: Which routes.

    Raises:
        RecipeError: There are no such routes, or genes of stages that no route goes through.
    """
    ends = spec.dataflow(())
    names = {*(name for name, _ in spec.layers), ends.embedding, ends.norm, ends.head}
    if idle := stages.idle_stages(names):
        raise RecipeError(
            f"values of the stage {idle[0]!r} are searched, and no route can go through it. Name "
            "it in dataflow.sources, or remove its search."
        )
    reach = make_reach(genes, stages, spec.choices, ends) if genes else None
    if spec.space == "path":
        paths = PathRoutes(spec)

        def counts(taken: NDArray[np.bool_]) -> NDArray[np.bool_]:
            own = np.ones((*taken.shape[:-1], len(paths.genes)), dtype=bool)
            return own if reach is None else np.concatenate([reach(taken), own], axis=-1)

        return PathSpace(
            spec.choices,
            spec.max_steps,
            genes=(*genes, *paths.genes),
            scale=paths.scale,
            template=RouteTemplate(stages, paths),
            reach=None if reach is None else counts,
        )
    routes = SakanaRoutes(spec) if spec.space == "sakana" else BlockRoutes(spec)
    n_before = len(genes)

    def activity(numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
        own = numbers[..., n_before:]
        if reach is None:
            return routes.activity(own)
        return np.concatenate([reach(routes.taken(own)), routes.activity(own)], axis=-1)

    return SearchSpace((*genes, *routes.genes), RouteTemplate(stages, routes), activity)


def fixed_route_space(genes: Sequence[Gene], stages: RecipeTemplate) -> SearchSpace:
    """Return the space of the stages alone, whose route, if there is one, is fixed.

    Genes of layers that the route doesn't take don't count.

    Raises:
        RecipeError: The route goes through none of what a stage searches.
    """
    flow = stages.dataflow
    if flow is None:
        return SearchSpace(genes, stages)
    choices = list(dict.fromkeys((step.source, step.layer) for step in flow.steps))
    counts = make_reach(genes, stages, choices, flow)(np.ones(len(choices), dtype=bool))
    on = {gene.name for gene, counted in zip(genes, counts, strict=True) if counted}
    used = {planned.stage for planned in stages.genes if planned.gene.name in on}
    for planned in stages.genes:
        if planned.stage not in used:
            raise RecipeError(
                f"values of the stage {stages.stages[planned.stage].name!r} are searched, and the "
                "route takes nothing that they change. Add its layers to dataflow.steps, or remove "
                "its search."
            )

    def activity(numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.broadcast_to(counts, numbers.shape)

    return SearchSpace(genes, stages, activity)
