"""The models that a worker's routes go through: sources as they are, stages merged in place.

Each is loaded when a route first names it and stays in memory. The worker's own resident model
stands for the recipe's first stage, or for the base where the recipe has no stages.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from evomerge.errors import MergeError
from evomerge.merging.engine import Merger
from evomerge.merging.routing import Router
from evomerge.merging.stream import config_changes
from evomerge.models.checkpoint import Checkpoint
from evomerge.models.resident import (
    empty_model,
    load_resident,
    parameters_by_name,
    unfilled_resident,
)
from evomerge.recipes.recipe import Dataflow, Recipe, Step

BASE = ""
"""Name under which the router finds the model whose configuration routes have; no source has it."""


StepKey = tuple[str, int, float, float, float]
"""Content of a source or stage, layer, scale, qk, write: equal ones compute alike."""


@dataclass(frozen=True)
class _Slot:
    """A model that merges write into, and its tensors by their names on disk."""

    model: nn.Module
    targets: Mapping[str, Tensor]


@dataclass
class Residents:
    """Builds routed models for a worker.

    Args:
        scratch: The worker's resident model, of the base's configuration.
        targets: Its tensors by their names on disk.
        merger: Writes stages into models.
        base: Name of the base.
        dtype: Element type of the models; None keeps each source's own.
        device: Where they lie; None where the worker's model is laid over several devices.
        trusted: Sources whose own code may run.
    """

    scratch: nn.Module
    targets: Mapping[str, Tensor]
    merger: Merger
    base: str
    dtype: str | None
    device: str | None
    trusted: frozenset[str] = frozenset()
    _sources: dict[str, nn.Module] = field(default_factory=dict)
    _slots: dict[str, _Slot] = field(default_factory=dict)
    _named: dict[str, nn.Module] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._own = _Slot(self.scratch, self.targets)
        self._router = Router(self._named, BASE)

    def route(self, recipe: Recipe) -> nn.Module:
        """Return a model that follows the recipe's dataflow.

        It holds until the next call, or until something else is merged into the scratch model.
        Stages are rewritten only where their coefficients changed.

        Raises:
            MergeError: The recipe can't be routed.
            ModelError: A source can't be loaded.
        """
        flow = recipe.dataflow
        assert flow is not None
        self._named.clear()
        self._named[BASE] = self.scratch
        stages = {stage.name: index for index, stage in enumerate(recipe.stages)}
        for name in names_of(flow):
            if name in stages:
                self._named[name] = self._merged(recipe, stages[name])
            elif name == self.base and not recipe.stages:
                self._named[name] = self._written(self._own, recipe, name)
            elif name in self.merger.checkpoints:
                self._named[name] = self._source(name)
        return self._router.build(flow)

    def exported(self, recipe: Recipe) -> nn.Module:
        """Return the model that a route is written to disk as, merged in memory of its own.

        Raises:
            MergeError: The route has no ordinary checkpoint.
            ModelError: transformers can't build it.
        """
        base = self.merger.checkpoints[self.base]
        model, targets = unfilled_resident(
            base.folder,
            config_changes(recipe, self.merger.checkpoints),
            {spec.name: spec.shape for spec in self.merger.specs(recipe)},
            dtype=self.dtype,
            device=self._device(),
            trust_remote_code=self.base in self.trusted,
        )
        self.merger.merge_into(recipe, targets)
        return model

    def path(self, recipe: Recipe) -> tuple[str, list[StepKey]]:
        """Return what the routed model's embedding and steps are, by content and not by name."""
        flow = recipe.dataflow
        assert flow is not None
        contents = {source.name: source.sha256 for source in recipe.sources}
        used = set(names_of(flow))
        for index, stage in enumerate(recipe.stages):
            if stage.name in used:
                upto = recipe.stages[: index + 1]
                contents[stage.name] = replace(recipe, stages=upto, dataflow=None, _hash=[]).hash()
        steps = [(contents[s.source], s.layer, s.scale, s.qk, s.write) for s in flow.steps]
        return contents[flow.embedding], steps

    def _source(self, name: str) -> nn.Module:
        if name not in self._sources:
            self._sources[name] = self._load(self.merger.checkpoints[name].folder, name)
        return self._sources[name]

    def _merged(self, recipe: Recipe, index: int) -> nn.Module:
        """Return the model that stage ``index`` makes."""
        name = recipe.stages[index].name
        root = _root(recipe, name)
        slot = self._slots.get(name)
        if slot is None:
            checkpoint = self.merger.checkpoints[root]
            if index == 0 and checkpoint.n_layers == self.merger.checkpoints[self.base].n_layers:
                slot = self._own
            else:
                model: Any = self._load(checkpoint.folder, root)
                slot = _Slot(model, parameters_by_name(model, checkpoint))
            self._slots[name] = slot
        upto = replace(recipe, stages=recipe.stages[: index + 1])
        return self._written(slot, upto, name)

    def _written(self, slot: _Slot, recipe: Recipe, name: str) -> nn.Module:
        """Write all layers of a source or stage into a slot's model and return that."""
        depth = depth_of(recipe, self.merger.checkpoints, name)
        steps = tuple(Step(name, layer) for layer in range(depth))
        whole = replace(recipe, dataflow=Dataflow(steps, name, name, name), _hash=[])
        self.merger.merge_into(whole, slot.targets)
        return slot.model

    def _load(self, folder: Path, name: str) -> nn.Module:
        return load_resident(
            folder,
            dtype=self.dtype,
            device=self._device(),
            trust_remote_code=name in self.trusted,
        )

    def _device(self) -> str:
        if self.device is None:
            raise MergeError(
                "a route can't go through models that are laid over several GPUs. "
                "Give each worker one GPU that holds the sources, or use a smaller recipe.dtype."
            )
        return self.device


def check_route(
    recipe: Recipe, checkpoints: Mapping[str, Checkpoint], trusted: frozenset[str]
) -> None:
    """Make sure that a recipe's route can be put together in memory; no weight is read.

    Args:
        recipe: Its dataflow has passed the merger's checks.
        checkpoints: Source → checkpoint.
        trusted: Sources whose own code may run.

    Raises:
        MergeError: A step has numbers that its layer's code has no place for.
        ModelError: transformers can't build a source's model.
    """
    flow = recipe.dataflow
    assert flow is not None
    shells: dict[str, nn.Module] = {}
    for root in dict.fromkeys(_root(recipe, name) for name in names_of(flow)):
        shells[root] = empty_model(
            checkpoints[root].folder,
            {},
            dtype=recipe.dtype,
            device="meta",
            trust_remote_code=root in trusted,
        )
    Router({name: shells[_root(recipe, name)] for name in names_of(flow)}).build(flow)


def names_of(flow: Dataflow) -> list[str]:
    """Return the sources and stages that a dataflow names, each once."""
    ends = (flow.embedding, flow.norm, flow.head)
    return list(dict.fromkeys([*(step.source for step in flow.steps), *ends]))


def depth_of(recipe: Recipe, checkpoints: Mapping[str, Checkpoint], name: str) -> int:
    """Return the number of layers of a source or stage."""
    if name in checkpoints:
        return checkpoints[name].n_layers
    stage = next(stage for stage in recipe.stages if stage.name == name)
    return min(depth_of(recipe, checkpoints, i.name) - i.shift for i in stage.inputs)


def _root(recipe: Recipe, name: str) -> str:
    """Return the source whose form a source or stage has: that of its first input."""
    stages = {stage.name: stage for stage in recipe.stages}
    while name in stages:
        name = stages[name].inputs[0].name
    return name
