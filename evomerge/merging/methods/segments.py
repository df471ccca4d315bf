"""Segments: other coefficients for each run of the flattened model.

The parameters of all inputs are laid end to end, as ``evomerge.recipes.segments`` tells. The engine
adds up run by run; tensors in which no run ends are plain linear combinations.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from evomerge.errors import MergeError
from evomerge.merging.arithmetic import combine
from evomerge.merging.registry import merge_method
from evomerge.recipes.declarations import Parameter, WarmStart
from evomerge.recipes.segments import Runs

PARAMETERS = (
    Parameter(
        "segments",
        "segments",
        "Coefficients of all inputs for each run of flat indices; their average if absent.",
        searchable=True,
        whole_model=True,
    ),
    Parameter(
        "order",
        "str",
        "How tensors are laid end to end: embedding, layers by depth, final norm, head.",
        default="depth",
        choices=("depth",),
        whole_model=True,
    ),
)


def warm_starts(inputs: Sequence[str]) -> list[WarmStart]:
    """Return the uniform average, which is the default; searches begin with the inputs anyway."""
    return [WarmStart("uniform", {})]


@merge_method(
    "segments",
    parameters=PARAMETERS,
    paper="arXiv:2508.16204",
    flattened=True,
    warm_starts=warm_starts,
)
def segments(
    tensors: Sequence[Tensor], *, segments: Runs | None = None, order: str = "depth"
) -> Tensor:
    """Add up models with coefficients that change along the flattened model.

    Args:
        tensors: The parameter in each of ``n`` sources, each of shape ``(*s)``, float32 or float64.
        segments: Runs of the parameter's elements, with ``n`` coefficients each; None: the average.
        order: ``depth``, the only one; kept in recipes, since flat indices mean nothing without it.

    Returns:
        Merged parameter, shape ``(*s)``.

    Raises:
        MergeError: A run hasn't one coefficient a source, or the runs end elsewhere.

    Source: Abrantes et al. 2025, arXiv:2508.16204 (models as split-point crossovers make them).
    """
    n = len(tensors)
    numel = tensors[0].numel()
    runs = segments or Runs((numel,), ((1.0 / n,) * n,))
    if any(len(weights) != n for weights in runs.weights) or runs.ends[-1] != numel:
        raise MergeError(
            f"segments got runs up to {runs.ends[-1]} of {numel} elements with "
            f"{len(runs.weights[0])} weights for {n} inputs. Give one weight an input, to the end."
        )
    flat = [tensor.reshape(-1) for tensor in tensors]
    parts = []
    start = 0
    for end, weights in zip(runs.ends, runs.weights, strict=True):
        parts.append(combine([tensor[start:end] for tensor in flat], weights))
        start = end
    return torch.cat(parts).view(tensors[0].shape)
