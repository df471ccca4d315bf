"""From where to where a hypervolume measures each objective: what the run file leaves out."""

import math
from collections.abc import Mapping
from dataclasses import replace

from evomerge.config.run import ObjectiveConfig, RunConfig
from evomerge.errors import Problem
from evomerge.evaluation.intervals import STABILITY
from evomerge.evaluation.objectives import combine_values, find_metric
from evomerge.evaluation.protocol import Evaluator, Metric
from evomerge.runs.objectives import Objective, Objectives
from evomerge.runs.setup.sources import OpenedSource

Ends = tuple[float | None, float | None]
"""Reference and ideal, raw; None for what isn't known."""


def bounded(
    objectives: Objectives,
    evaluators: Mapping[str, Evaluator],
    sources: Mapping[str, OpenedSource],
    problems: list[Problem],
    warnings: list[str],
) -> Objectives:
    """Return the objectives with the references and ideals that follow from what they measure.

    Args:
        objectives: What is optimised; ends that the run file gives stay as they are.
        evaluators: Task → evaluator, whose metrics know their ends.
        sources: Name → source, for the ends of sizes.
        problems: Gets a reference that isn't worse than its ideal.
        warnings: Gets what keeps a run of several objectives from having a hypervolume.
    """
    found = []
    for item in objectives.all:
        ends = [
            _sizes(item, metric, sources)
            if item.is_of_recipe
            else _turned(item, find_metric(evaluators[task], metric, task))
            for task, metric in item.parts
        ]
        reference, ideal = _combined(item, ends)
        found.append(replace(item, reference=reference, ideal=ideal))
        key = f"objectives.{item.name}"
        if reference is None or ideal is None:
            missing = "reference" if reference is None else "ideal"
            if len(objectives.all) > 1:
                warnings.append(
                    f"{key}.{missing}: isn't known, so this run has no hypervolume. Give the "
                    + ("value of a useless model." if reference is None else "best value.")
                )
        elif item.utility(reference) >= item.utility(ideal):
            message = (
                f"is {reference:g}, which is no worse than the ideal, {ideal:g}. Give the value of "
                "a useless model, or another ideal."
            )
            problems.append(Problem(f"{key}.reference", message))
    return replace(objectives, all=tuple(found))


def with_ends(config: RunConfig, objectives: Objectives) -> dict[str, ObjectiveConfig]:
    """Return the run file's objectives with the ends that were found, as they are stored."""
    return {
        item.name: config.objectives[item.name].model_copy(
            update={"reference": item.reference, "ideal": item.ideal}
        )
        for item in objectives.all
    }


def _combined(item: Objective, ends: list[Ends]) -> Ends:
    """Return the objective's own ends: the run file's, or its aggregate of its parts' ends."""
    found: list[float | None] = []
    if item.aggregate == STABILITY:
        ends = [(0.0, 1.0)]
    for place, given in enumerate((item.reference, item.ideal)):
        parts = [part[place] for part in ends]
        known = [value for value in parts if value is not None]
        if given is None and len(known) == len(parts):
            kind = "mean" if item.aggregate == STABILITY else item.aggregate
            given = combine_values(kind, known, item.weights, item.temperature)
        found.append(given)
    return found[0], found[1]


def _turned(item: Objective, metric: Metric) -> Ends:
    """Return a metric's ends, exchanged where the objective goes against its direction."""
    reference, ideal = metric.bounds
    return (reference, ideal) if item.direction == metric.direction else (ideal, reference)


def _sizes(item: Objective, name: str, sources: Mapping[str, OpenedSource]) -> Ends:
    """Return the ends of a number of the recipe: the smallest source, and twice the largest."""
    checkpoints = [opened.checkpoint for opened in sources.values()]
    if not checkpoints:
        return None, None  # networks that are evolved from scratch
    if name == "steps":
        counts = [checkpoint.n_layers for checkpoint in checkpoints]
    else:
        counts = [
            sum(math.prod(facts.shape) for facts in item.tensors.values() if "F" in facts.dtype)
            for item in checkpoints
        ]
    small, large = float(min(counts)), 2.0 * max(counts)
    return (large, small) if item.direction == "minimize" else (small, large)
