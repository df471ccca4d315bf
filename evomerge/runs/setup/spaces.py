"""From a run file to its search space, and the check that all of it can be merged and exported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evomerge.config.run import RunConfig
from evomerge.errors import EvomergeError, MergeError, ModelError, Problem, ProblemsError
from evomerge.execution.residents import check_route
from evomerge.merging.engine import Merger
from evomerge.merging.gram import GramSums
from evomerge.merging.registry import METHODS
from evomerge.models.cache import cache_dir
from evomerge.models.tokenizers import vocabulary_difference
from evomerge.recipes.build import RecipeSpec, build_space
from evomerge.recipes.recipe import Source
from evomerge.recipes.segment_space import SegmentSpace
from evomerge.recipes.space import SearchSpace
from evomerge.runs.setup.routes import (
    donors,
    fixed_route,
    route_spec,
    widest_route,
    without_step,
)
from evomerge.runs.setup.sources import OpenedSource


def recipe_spec(config: RunConfig, sources: Sequence[Source], where: str = "") -> RecipeSpec:
    """Return the ``recipe`` block as the space's builder takes it."""
    return RecipeSpec(
        sources=tuple(sources),
        base=config.base,
        stages=tuple(_plain_stage(stage.model_dump()) for stage in config.recipe.parameters),
        dtype=config.recipe.dtype,
        tokenizer=config.recipe.tokenizer,
        seed=config.recipe.seed,
        dataflow=fixed_route(config, config.base or next(iter(config.sources))),
        where=where,
    )


def _plain_stage(stage: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in stage.items() if value is not None}


@dataclass(frozen=True)
class Spaces:
    """What the spaces of a run are built from.

    Args:
        sources: Name → opened source; one that can't be opened is missing.
        base: Source of configuration and buffers.
    """

    sources: Mapping[str, OpenedSource]
    base: str

    def checked(self, config: RunConfig, problems: list[Problem]) -> SearchSpace | None:
        """Return the space of a run file; None where it has none.

        Args:
            config: The run file, or one phase of it.
            problems: Mistakes are added here; where there are any already, what the space is made
                of isn't looked at.
        """
        space = self.build(config, problems)
        if space is not None and not problems:
            self._check_fit(config, space, problems)
        return space

    def build(self, config: RunConfig, problems: list[Problem]) -> SearchSpace | None:
        """Return the space; names and values are checked even where a source can't be opened."""
        sources = self.sources
        route = route_spec(config, sources, self.base, problems)
        if route is None and config.dataflow is not None and config.dataflow.space is not None:
            return None  # a name in it is wrong, which has been reported
        known = [
            sources[name].source if name in sources else Source(name, item.path, "")
            for name, item in config.sources.items()
        ]
        model = sources[self.base].checkpoint if self.base in sources else None
        try:
            space = build_space(
                recipe_spec(config, known),
                METHODS.declarations(),
                model.n_layers if model else 0,
                model.tensors if model else {},
                route,
            )
        except ProblemsError as error:
            # A base that isn't a source is reported once, under its own key.
            problems += [p for p in error.problems if p.key != "base"]
            return None
        if isinstance(space, SegmentSpace) and set(space.inputs) <= set(sources):
            space.products = GramSums(
                [sources[name].checkpoint for name in space.inputs],
                [sources[name].source for name in space.inputs],
                space.chromosomes,
                cache_dir() / "statistics",
            )
        return space

    def _check_fit(self, config: RunConfig, space: SearchSpace, problems: list[Problem]) -> None:
        """Check that the sources can be merged, and all routes exported.

        A space from which something couldn't be exported is refused here, not candidate by
        candidate.
        """
        names = {name: item.source for name, item in self.sources.items()}
        merger = Merger({name: item.checkpoint for name, item in self.sources.items()}, names)
        trusted = frozenset(name for name, source in names.items() if source.trust_remote_code)
        route = route_spec(config, self.sources, self.base, [])
        recipe = space.recipe(space.decode(space.middle()))
        if route is not None:
            recipe = replace(recipe, dataflow=widest_route(route), _hash=[])
        try:
            merger.check(recipe)
        except MergeError as error:
            key = "sources" if config.dataflow is None else "dataflow"
            for line in filter(None, str(error).splitlines()):
                told = without_step(line)
                at_step = route is None and told != line
                problems.append(Problem("dataflow.steps" if at_step else key, told))
            return
        flow = recipe.dataflow
        if flow is not None and any((step.qk, step.write) != (1, 1) for step in flow.steps):
            try:
                check_route(recipe, merger.checkpoints, trusted)
            except (MergeError, ModelError) as error:
                problems.append(Problem("dataflow.steps", str(error)))
                return
        self._check_vocabularies(config, problems)

    def _check_vocabularies(self, config: RunConfig, problems: list[Problem]) -> None:
        base, used = self.base, donors(config, self.base)
        for name, item in self.sources.items():
            if name == base or name not in used:
                continue
            try:
                difference = vocabulary_difference(self.sources[base].folder, item.folder)
            except EvomergeError as error:
                difference = str(error)
            if difference:
                message = (
                    f"tokenizers of {base!r} and {name!r}: {difference.rstrip('.')}. Merging adds "
                    "rows of equal tokens; choose sources of one vocabulary."
                )
                problems.append(Problem(f"sources.{name}", message))
