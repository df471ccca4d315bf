"""Which genes of the stages a route reaches: those that decide on a part that it takes."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.models.architecture import TensorFacts
from evomerge.recipes.genes import Gene
from evomerge.recipes.plan import PlannedGene
from evomerge.recipes.recipe import FLOW_ENDS, Dataflow
from evomerge.recipes.template import RecipeTemplate

Part = tuple[str, int | str]
"""A source or stage, and what is taken from it: a layer, or ``embedding``, ``norm`` or ``head``."""

Reach = Callable[[NDArray[np.bool_]], NDArray[np.bool_]]
"""Which of a space's layers are taken, shape ``(..., M)`` → which genes count, ``(..., d)``."""


def make_reach(
    genes: Sequence[Gene],
    stages: RecipeTemplate,
    choices: Sequence[tuple[str, int]],
    ends: Dataflow,
) -> Reach:
    """Return what tells which of ``genes`` count in a route.

    Args:
        genes: Genes of the stages, ``d`` in number, in the space's order.
        stages: Their template.
        choices: (source or stage, layer) that a route may take, ``M`` in number.
        ends: Says where embedding, norm and head come from; its steps don't matter.
    """
    always = _marks(genes, genes_behind(stages, [(getattr(ends, end), end) for end in FLOW_ENDS]))
    by_layer = np.array([_marks(genes, genes_behind(stages, [choice])) for choice in choices])

    def reach(taken: NDArray[np.bool_]) -> NDArray[np.bool_]:
        # Numbers, as numpy's product of truth values takes the slow way.
        return always | (taken.astype(np.float64) @ by_layer.astype(np.float64) > 0)

    return reach


def genes_behind(stages: RecipeTemplate, parts: Iterable[Part]) -> set[str]:
    """Return the names of the genes that decide on ``parts`` of sources and stages.

    A part of a stage is made of the same part of its inputs (layers may be shifted) and its base,
    so genes of the stages behind it decide too. A gene that others depend on goes with them.
    """
    wanted = set(parts)
    found: set[str] = set()
    for index, stage in reversed(list(enumerate(stages.stages))):
        own = {part for name, part in wanted if name == stage.name}
        if not own:
            continue
        for planned in stages.genes:
            if planned.stage == index and _decides(planned, own, stages.n_layers):
                found.add(planned.gene.name)
        for item in stage.inputs:
            wanted |= {(item.name, p + item.shift if isinstance(p, int) else p) for p in own}
        wanted |= {(stage.base or "", part) for part in own}
    switches = {p.gene.name: p.gene.active_if[0] for p in stages.genes if p.gene.active_if}
    waiting = set(found)
    while waiting:
        waiting = {switches[name] for name in waiting if name in switches} - found
        found |= waiting
    return found


def _decides(planned: PlannedGene, parts: set[int | str], n_layers: int) -> bool:
    """Tell whether a gene acts on a tensor in one of ``parts``; one without tensors acts on all."""
    if not planned.tensors:
        return True
    return any(
        not parts.isdisjoint(_parts_of(tensor)) and _weighs(planned, tensor.depth(n_layers))
        for tensor in planned.tensors
    )


def _parts_of(tensor: TensorFacts) -> tuple[int | str, ...]:
    """Return the parts of a model that a tensor is in; a head may be tied to the embedding."""
    if tensor.layer is not None:
        return (tensor.layer,)
    if tensor.role == "head":
        return ("head",)
    ends = ("embedding",) if tensor.before else ("norm",)
    return (*ends, "head") if tensor.role == "embed" else ends


def _weighs(planned: PlannedGene, depth: float) -> bool:
    """Tell whether an anchor of a gradient takes part at ``depth``; other genes always do."""
    if planned.anchor is None:
        return True
    which, count = planned.anchor
    return abs(depth * (count - 1) - which) < 1


def _marks(genes: Sequence[Gene], names: set[str]) -> NDArray[np.bool_]:
    return np.array([gene.name in names for gene in genes], dtype=bool)
