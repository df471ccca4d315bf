"""The ``dataflow`` block of a run file: its names checked, and what its routes may be."""

import re
from collections.abc import Mapping
from typing import Any

from evomerge.config.run import DataflowConfig, RunConfig
from evomerge.errors import Problem, nearest
from evomerge.recipes.recipe import FLOW_ENDS, Dataflow
from evomerge.recipes.routes import RouteSpec
from evomerge.runs.setup.sources import OpenedSource

UNKNOWN_DEPTH = 2
"""Layers of a source that can't be opened, which is reported elsewhere."""

_STEP = re.compile(r"^dataflow\.steps\[\d+\],? ?")


def route_spec(
    config: RunConfig, sources: Mapping[str, OpenedSource], base: str, problems: list[Problem]
) -> RouteSpec | None:
    """Return which routes the run searches; None where it searches none or a name is wrong.

    Args:
        config: The run file.
        sources: Name → opened source; one that can't be opened is missing.
        base: Source of configuration and buffers.
        problems: Wrong names are added here.
    """
    flow = config.dataflow
    if flow is None or flow.space is None:
        return None
    depths = _depths(config, sources)
    n_problems = len(problems)
    named = [("model", flow.model), *((part, getattr(flow, part)) for part in FLOW_ENDS)]
    named += [(f"sources[{i}]", name) for i, name in enumerate(flow.sources or ())]
    for key, name in named:
        if name is not None and name not in depths:
            hint = nearest(name, depths)
            message = f"no source or stage is called {name!r}; {hint}"
            problems.append(Problem(f"dataflow.{key}", message))
    if len(problems) > n_problems:
        return None
    model = _model(config, flow, base)
    names = dict.fromkeys([model, *(config.sources if flow.sources is None else flow.sources)])
    layers = tuple((name, depths[name]) for name in names)
    slots = sum(depth for _, depth in layers) * flow.repeats + 2
    default = slots if flow.space == "sakana" else 2 * depths[model]
    return RouteSpec(
        space=flow.space,
        layers=layers,
        max_steps=flow.max_steps or default,
        repeats=flow.repeats,
        blocks=flow.blocks,
        scales=flow.scales,
        scale_range=(flow.scale_range[0], flow.scale_range[1]),
        embedding=flow.embedding or "",
        norm=flow.norm or "",
        head=flow.head or "",
    )


def fixed_route(config: RunConfig, base: str) -> dict[str, Any] | None:
    """Return the route that the run file fixes, as recipes are written; None where there is none.

    What isn't named comes from the dataflow's model.
    """
    flow = config.dataflow
    if flow is None or flow.steps is None:
        return None
    model = _model(config, flow, base)
    ends = {part: getattr(flow, part) or model for part in FLOW_ENDS}
    return {"steps": list(flow.steps), **ends}


def widest_route(spec: RouteSpec) -> Dataflow:
    """Return a route through all layers, with a scale if scales are searched.

    Where it has no checkpoint, some routes of the space have none.
    """
    low, high = spec.scale_range
    return spec.probe(1.0 if spec.scales == "none" else low if low < 1 else high)


def without_step(message: str) -> str:
    """Return a message on a route without its step's number.

    No user wrote the steps of ``widest_route``; of a fixed route an entry may be a run of layers.
    """
    return _STEP.sub("", message)


def donors(config: RunConfig, base: str) -> set[str]:
    """Return the sources whose embedding or head goes into candidates, the base among them."""
    found = set(config.sources)
    flow = config.dataflow
    if flow is not None:
        model = _model(config, flow, base)
        found = {base, flow.embedding or model, flow.head or model}
        # A stage merges embeddings too, whether or not the route takes them.
        for stage in config.recipe.parameters:
            found |= {*stage.inputs, *([stage.base] if stage.base else ())}
    return found & set(config.sources)


def stage_names(config: RunConfig) -> list[str]:
    """Return the stages' names, in order."""
    return [s.name or f"stage{i}" for i, s in enumerate(config.recipe.parameters, 1)]


def _model(config: RunConfig, flow: DataflowConfig, base: str) -> str:
    return flow.model or [base, *stage_names(config)][-1]


def _depths(config: RunConfig, sources: Mapping[str, OpenedSource]) -> dict[str, int]:
    """Return source or stage → number of its layers."""
    found = {
        name: sources[name].checkpoint.n_layers if name in sources else UNKNOWN_DEPTH
        for name in config.sources
    }
    for name, stage in zip(stage_names(config), config.recipe.parameters, strict=True):
        found[name] = min(found.get(item, UNKNOWN_DEPTH) for item in stage.inputs)
    return found


def routed_models(config: RunConfig, base: str) -> list[str]:
    """Return the models that a worker holds beside its own for routes; the base for each stage.

    Its own model stands for the first stage, or for the base where there is no stage.
    """
    flow = config.dataflow
    if flow is None:
        return []
    named = [_model(config, flow, base), *(getattr(flow, part) for part in FLOW_ENDS)]
    named += config.sources if flow.sources is None and flow.steps is None else flow.sources or ()
    named += [step.get("source") for step in flow.steps or ()]
    stages = stage_names(config)
    others = [name for name in dict.fromkeys(named) if name != [*stages, base][0]]
    return [base if name in stages else name for name in others if name is not None]


def longest_route(config: RunConfig, sources: Mapping[str, OpenedSource], base: str) -> int:
    """Return the most layers that a candidate may have."""
    flow = config.dataflow
    if flow is not None and flow.steps is not None:
        runs = [step.get("layers", [0, 1]) for step in flow.steps]
        return sum(stop - start for start, stop in runs)
    spec = route_spec(config, sources, base, [])
    return sources[base].checkpoint.n_layers if spec is None else spec.max_steps
