"""Whether a recipe's sources fit each other: all that is wrong, found before merging."""

from collections.abc import Iterable, Iterator, Mapping

import torch

from evomerge.errors import PluginError
from evomerge.merging.plan import Layout, Place
from evomerge.merging.registry import METHODS
from evomerge.merging.route_config import route_problems
from evomerge.merging.route_form import RouteForm
from evomerge.models.architecture import BUFFERS, FLOATS, TensorFacts
from evomerge.models.checkpoint import Checkpoint
from evomerge.recipes.recipe import Recipe, Stage

SAME_CONFIG = (
    "model_type",
    "hidden_size",
    "n_embd",
    "num_attention_heads",
    "n_head",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "activation_function",
)
"""Keys of config.json that change what the same weights compute."""

SHOWN = 3
"""Tensors that a message names before it only counts."""


class RecipeCheck:
    """Finds all reasons why a recipe can't be merged.

    Args:
        recipe: The recipe.
        checkpoints: Source name → checkpoint.
        layouts: Source name → layout.
    """

    def __init__(
        self,
        recipe: Recipe,
        checkpoints: Mapping[str, Checkpoint],
        layouts: Mapping[str, Layout],
    ) -> None:
        self._recipe = recipe
        self._checkpoints = checkpoints
        self._layouts = layouts
        self._stages = {stage.name: stage for stage in recipe.stages}
        self._seen: dict[tuple[str, Place], TensorFacts | None] = {}
        self._missing: dict[str, list[str]] = {}
        self._shapes: dict[str, list[str]] = {}
        self._kinds: list[str] = []

    def problems(self) -> list[str]:
        """Return the reasons, one line each; empty if there are none."""
        found = [*self._names(), *self._methods()]
        if found:
            return found
        found += [*self._configurations(), *self._ties()]
        odd = {*self._depth_problems(found), *self._vocabulary_problems(found)}
        self._walk()
        found += self._kinds
        found += [
            f"source {source!r} lacks {_listing(names)}, which the base {self._recipe.base!r} has. "
            "Choose sources of one architecture."
            for source, names in self._missing.items()
            if source not in odd
        ]
        found += [
            f"source {source!r} has other shapes than the base {self._recipe.base!r}: "
            f"{_listing(shapes)}. Choose sources of one size."
            for source, shapes in self._shapes.items()
            if source not in odd
        ]
        found += self._extras(odd)
        return found

    def used(self) -> list[str]:
        """Return the sources that the result depends on and the base, in the recipe's order."""
        reached = {self._recipe.base, *self._sources_of(self._ends())}
        return [source.name for source in self._recipe.sources if source.name in reached]

    def _sources_of(self, ends: Iterable[str]) -> list[str]:
        """The sources behind sources and stages, in the recipe's order."""
        reached: set[str] = set()
        queue = list(ends)
        while queue:
            name = queue.pop()
            if name in self._stages:
                stage = self._stages[name]
                queue += [item.name for item in stage.inputs]
                queue += [stage.base] if stage.base else []
            else:
                reached.add(name)
        return [source.name for source in self._recipe.sources if source.name in reached]

    def _ends(self) -> list[str]:
        flow = self._recipe.dataflow
        if flow is None:
            return [self._recipe.stages[-1].name]
        ends = (flow.embedding, flow.norm, flow.head)
        return list(dict.fromkeys([*(step.source for step in flow.steps), *ends]))

    def _names(self) -> Iterator[str]:
        known = {source.name for source in self._recipe.sources}
        if self._recipe.dataflow is None and not self._recipe.stages:
            yield "the recipe has no stages. Give at least one method under parameters."
            return
        for stage in self._recipe.stages:
            for name in [*(item.name for item in stage.inputs), stage.base]:
                if name is not None and name not in known:
                    yield (
                        f"stage {stage.name!r} reads {name!r}, which is no source and no earlier "
                        f"stage. Known there: {', '.join(sorted(known))}."
                    )
            known.add(stage.name)
        ends = [self._recipe.base, *(self._ends() if self._recipe.dataflow else [])]
        for name in dict.fromkeys(ends):
            if name not in known:
                yield f"{name!r} is no source and no stage. Known: {', '.join(sorted(known))}."

    def _methods(self) -> Iterator[str]:
        for stage in self._recipe.stages:
            try:
                declaration = METHODS.get(stage.method).declaration
            except PluginError as error:
                yield f"stage {stage.name!r}: {error}"
                continue
            n = len(stage.inputs)
            most = declaration.max_inputs
            if n < declaration.min_inputs or (most is not None and n > most):
                allowed = (
                    str(most)
                    if most == declaration.min_inputs
                    else (
                        f"at least {declaration.min_inputs}"
                        if most is None
                        else f"{declaration.min_inputs} to {most}"
                    )
                )
                yield (
                    f"stage {stage.name!r} has {n} inputs; {stage.method} takes {allowed}. "
                    "Change its inputs."
                )
            if declaration.needs_base and stage.base is None:
                yield (
                    f"stage {stage.name!r} has no base; {stage.method} needs the model that its "
                    "inputs were fine-tuned from. Name it under base."
                )

    def _configurations(self) -> Iterator[str]:
        for first, name in self._pairs():
            base, config = self._checkpoints[first].config, self._checkpoints[name].config
            different = [
                f"{key} {config[key]!r} instead of {base[key]!r}"
                for key in SAME_CONFIG
                if key in base and key in config and base[key] != config[key]
            ]
            if different:
                yield (
                    f"source {name!r} is configured differently from {self._called(first)}: "
                    f"{'; '.join(different)}. Choose sources of one architecture."
                )

    def _pairs(self) -> Iterator[tuple[str, str]]:
        """Sources whose weights are merged with each other: (one of them, another)."""
        if self._recipe.dataflow is None:
            yield from ((self._recipe.base, name) for name in self.used())
            return
        for stage in self._recipe.stages:
            first, *others = self._sources_of([stage.name])
            yield from ((first, name) for name in others)

    def _called(self, name: str) -> str:
        return f"the base {name!r}" if name == self._recipe.base else repr(name)

    def _ties(self) -> Iterator[str]:
        groups = [self.used()]
        if self._recipe.dataflow is not None:  # a route's own head may come from anywhere
            groups = [self._sources_of([stage.name]) for stage in self._recipe.stages]
        for group in groups:
            tied = {name: self._checkpoints[name].tied for name in group}
            if len(set(tied.values())) > 1:
                yes = ", ".join(repr(name) for name, is_tied in tied.items() if is_tied)
                no = ", ".join(repr(name) for name, is_tied in tied.items() if not is_tied)
                yield (
                    f"head and embedding are one tensor in {yes} and two in {no}. "
                    "Untie the former first (save it with tie_word_embeddings false and a "
                    "head of its own), or leave it out."
                )

    def _depth_problems(self, found: list[str]) -> Iterator[str]:
        """Sources of another depth, each with its message added to ``found``."""
        if self._recipe.dataflow is not None:
            wrong = list(self._step_problems())
            if not wrong and not found:
                form = RouteForm(self._recipe, self._checkpoints, self._layouts)
                wrong += route_problems(form, self._checkpoints[self._recipe.base].config)
            found += wrong
            return
        depth = self._layouts[self._recipe.base].n_layers
        for name in self.used():
            own = self._layouts[name].n_layers
            if own != depth:
                found.append(
                    f"source {name!r} has {own} layers and the base {self._recipe.base!r} has "
                    f"{depth}. Choose sources of one depth, or route through them with 'dataflow'."
                )
                yield name

    def _step_problems(self) -> Iterator[str]:
        flow = self._recipe.dataflow
        assert flow is not None
        if not flow.steps:
            yield "the dataflow has no layers. Give at least one step: {source, layer}."
        for index, step in enumerate(flow.steps):
            depth = self._depth(step.source)
            if not 0 <= step.layer < depth:
                yield (
                    f"dataflow.steps[{index}] takes layer {step.layer} of {step.source!r}, which "
                    f"has {depth}. Expected 0 to {depth - 1}."
                )

    def _depth(self, name: str) -> int:
        if name in self._layouts:
            return self._layouts[name].n_layers
        return min(self._depth(item.name) - item.shift for item in self._stages[name].inputs)

    def _vocabulary_problems(self, found: list[str]) -> Iterator[str]:
        base = _vocabulary(self._checkpoints[self._recipe.base])
        # A route looks at its own embedding's and head's donors only.
        for name in self.used() if self._recipe.dataflow is None else ():
            own = _vocabulary(self._checkpoints[name])
            if own is not None and base is not None and own != base:
                found.append(
                    f"source {name!r} has an embedding of shape {own} and the base "
                    f"{self._recipe.base!r} one of shape {base}. Choose sources with one "
                    "vocabulary and one hidden size."
                )
                yield name

    def _walk(self) -> None:
        """Visit every tensor of the result."""
        flow = self._recipe.dataflow
        base = self._layouts[self._recipe.base]
        if flow is None:
            for place in base.places:
                self._visit(self._recipe.stages[-1].name, place)
            return
        for place, facts in base.places.items():
            if place.layer is None:
                role = facts.role
                early = flow.embedding if facts.before else flow.norm
                origin = flow.head if role == "head" else early
                self._visit(origin, place)
        for source, layer in dict.fromkeys((s.source, s.layer) for s in flow.steps):
            name = source
            while name in self._stages:
                name = self._stages[name].inputs[0].name
            for pattern in self._layouts[name].patterns:
                self._visit(source, Place(pattern, layer))

    def _visit(self, name: str, place: Place) -> TensorFacts | None:
        """Facts of what stands at ``place`` of a source or stage; notes what doesn't fit."""
        if (name, place) not in self._seen:
            if name in self._layouts:
                self._seen[name, place] = self._layouts[name].places.get(place)
            else:
                self._seen[name, place] = self._visit_stage(self._stages[name], place)
        return self._seen[name, place]

    def _visit_stage(self, stage: Stage, place: Place) -> TensorFacts | None:
        names = [(item.name, place.shifted(item.shift)) for item in stage.inputs]
        needs_base = METHODS.get(stage.method).declaration.needs_base
        if needs_base and stage.base is not None:
            names.insert(0, (stage.base, place))
        found = [(name, where, self._visit(name, where)) for name, where in names]
        present = [(name, where, facts) for name, where, facts in found if facts is not None]
        if not present:
            return None
        reference = present[0][2]
        for name, where, facts in found:
            if facts is None:
                optional = place.name.endswith(".bias") and name != stage.base
                if not optional and not place.name.endswith(BUFFERS):
                    self._missing.setdefault(name, []).append(where.name)
            elif facts.shape != reference.shape:
                self._shapes.setdefault(name, []).append(
                    f"{where.name} {facts.shape} instead of {reference.shape}"
                )
            elif (facts.dtype in FLOATS) != (reference.dtype in FLOATS):
                self._kinds.append(
                    f"tensor {place.name!r} is {facts.dtype} in {name!r} and {reference.dtype} in "
                    f"{present[0][0]!r}. Choose sources of one kind."
                )
        if reference.dtype not in FLOATS and not place.name.endswith(BUFFERS):
            self._compare_whole_numbers(place, present)
        return reference

    def _compare_whole_numbers(
        self, place: Place, present: Iterable[tuple[str, Place, TensorFacts]]
    ) -> None:
        """Note a tensor of whole numbers that isn't the same everywhere."""
        leaves = [
            (name, self._checkpoints[name].read(facts.name))
            for name, _, facts in present
            if name in self._checkpoints
        ]
        for name, tensor in leaves[1:]:
            first = leaves[0][1]
            if tensor.shape == first.shape and not torch.equal(tensor, first):
                self._kinds.append(
                    f"tensor {place.name!r} ({tensor.dtype}) differs between {leaves[0][0]!r} and "
                    f"{name!r}; whole numbers can't be merged. Leave one of them out."
                )

    def _extras(self, odd: set[str]) -> Iterator[str]:
        """Tensors of sources that have no place in the base."""
        if self._recipe.dataflow is not None:
            return
        base = self._layouts[self._recipe.base].places
        for name in self.used():
            extra = [
                facts.name
                for place, facts in self._layouts[name].places.items()
                if place not in base and not facts.name.endswith(BUFFERS) and facts.role != "head"
            ]
            if extra and name not in odd:
                yield (
                    f"source {name!r} has {_listing(extra)}, which the base {self._recipe.base!r} "
                    "lacks. Choose sources of one architecture, or make this one the base."
                )


def _vocabulary(checkpoint: Checkpoint) -> tuple[int, ...] | None:
    shapes = [
        f.shape for f in checkpoint.tensors.values() if f.role == "embed" and len(f.shape) == 2
    ]
    return shapes[0] if shapes else None


def _listing(items: list[str]) -> str:
    """The first few items and how many more there are."""
    rest = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + rest
