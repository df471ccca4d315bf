"""Routes written as the ``slices:`` of a mergekit passthrough file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evomerge.recipes.mergekit_settings import SettingWriter, reference, refuse
from evomerge.recipes.recipe import Recipe, Stage, Step
from evomerge.recipes.values import Value


@dataclass(frozen=True)
class RouteFactors:
    """What a route's numbers multiply the tensors of its checkpoint by, where that isn't 1.

    Args:
        steps: For each step, local name of a tensor (``self_attn.o_proj.weight``) → factor.
        after: Name of a tensor after the layers → factor.
        depths: Source → number of its layers.
    """

    steps: tuple[Mapping[str, float], ...]
    after: Mapping[str, float]
    depths: Mapping[str, int]


def stack_slices(
    recipe: Recipe, writer: SettingWriter, factors: RouteFactors | None
) -> dict[str, Any]:
    """Return a route through sources and passthrough stages as a mergekit file.

    Args:
        recipe: A recipe with a dataflow.
        writer: Writes the stages' scales.
        factors: What the steps' numbers come to; needed where they aren't all 1.

    Raises:
        RecipeError: mergekit's passthrough can't do the same.
    """
    flow = recipe.dataflow
    assert flow is not None
    stages = {stage.name: stage for stage in recipe.stages}
    if factors is None:
        if not all(step.is_plain for step in flow.steps):
            raise refuse("writing its scales needs the models' tensor names")
        factors = RouteFactors(({},) * len(flow.steps), {}, {})
    first, last = flow.steps[0], flow.steps[-1]
    for name, step in ((flow.embedding, first), (flow.norm, last), (flow.head, last)):
        if name != step.source and not _same_outside(name, stages.get(step.source), writer):
            raise refuse(
                "embedding, norm or head come from other models than the first and last layers"
            )
    slices: list[dict[str, Any]] = []
    before: tuple[str, int, Any] | None = None
    for index, step in enumerate(flow.steps):
        source, layer, value = _origin(step, stages)
        after = factors.after if index == len(flow.steps) - 1 else {}
        own = writer.at_layer(value, step.layer, factors.depths.get(source, layer + 1))
        setting = _with_factors(own, {**after, **factors.steps[index]})
        if before == (step.source, layer - 1, setting):
            slices[-1]["sources"][0]["layer_range"][1] = layer + 1
        else:
            model = reference(recipe.source(source))
            entry: dict[str, Any] = {"model": model, "layer_range": [layer, layer + 1]}
            entry |= {} if setting == 1 else {"parameters": {"scale": setting}}
            slices.append({"sources": [entry]})
        before = (step.source, layer, setting)
    return {"merge_method": "passthrough", "slices": slices}


def _origin(step: Step, stages: Mapping[str, Stage]) -> tuple[str, int, Value]:
    """Return the source, its layer and the scale that a passthrough stage gives its tensors."""
    stage = stages.get(step.source)
    if stage is None:
        return step.source, step.layer, 1.0
    if stage.method != "passthrough" or stage.inputs[0].name in stages:
        raise refuse("its layer stack holds merged layers; mergekit stacks with passthrough only")
    scale = stage.parameters["scale"]
    assert not isinstance(scale, tuple)
    return stage.inputs[0].name, step.layer + stage.inputs[0].shift, scale


def _same_outside(name: str, stage: Stage | None, writer: SettingWriter) -> bool:
    """Whether ``stage`` hands on the tensors outside the layers of source ``name`` unchanged."""
    if stage is None or stage.method != "passthrough" or stage.inputs[0].name != name:
        return False
    scale = stage.parameters["scale"]
    assert not isinstance(scale, tuple)
    return writer.is_one_outside(scale)


def _with_factors(setting: Any, factors: Mapping[str, float]) -> Any:
    """Return a setting that multiplies by ``factors`` too."""
    if not factors:
        return setting
    if setting != 1:
        raise refuse("a step scales a layer that its stage scales already")
    cases: list[dict[str, Any]] = [{"filter": name, "value": f} for name, f in factors.items()]
    return [*cases, {"value": 1.0}]
