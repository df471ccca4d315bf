"""SLERP: two models joined along the great circle between them, parameter by parameter.

The coefficients of the two inputs follow from their norms and inner product, which are computed
once for each parameter; after that it is a sum of two tensors.
"""

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from evomerge.merging.arithmetic import combine
from evomerge.merging.registry import merge_method
from evomerge.merging.statistics import Stats, WholeTensors
from evomerge.recipes.declarations import Parameter, WarmStart

DOT_THRESHOLD = 0.9995
"""Above this cosine the two are joined by a straight line, as mergekit does."""

T = Parameter(
    "t",
    "float",
    "Place between the first input (0) and the second (1).",
    default=0.5,
    low=-1.0,
    high=2.0,
    search_low=0.0,
    search_high=1.0,
    searchable=True,
)
NORM_MODE = Parameter(
    "norm_mode",
    "str",
    "raw: mergekit's formula on the tensors as they are; geodesic: the norm is interpolated too.",
    default="raw",
    choices=("raw", "geodesic"),
    searchable=True,
    whole_model=True,
)


def warm_starts(inputs: Sequence[str]) -> list[WarmStart]:
    """Return both inputs alone and the middle."""
    return [
        WarmStart(f"parent:{inputs[0]}", {"t": 0.0}),
        WarmStart(f"parent:{inputs[-1]}", {"t": 1.0}),
        WarmStart("uniform", {"t": 0.5}),
    ]


def slerp_coefficients(
    *, t: float = 0.5, norm_mode: Literal["raw", "geodesic"] = "raw", stats: Stats
) -> list[float]:
    """Return the coefficients of the two inputs.

    Args:
        t: Place between them.
        norm_mode: See ``slerp``.
        stats: Gives their Gram matrix, shape ``(2, 2)``, float64.
    """
    if t in (0.0, 1.0):
        return [1.0 - t, t]
    gram = stats.gram()
    norms = math.sqrt(gram[0, 0]), math.sqrt(gram[1, 1])
    straight = [1.0 - t, t]
    if min(norms) == 0.0:
        return straight  # no direction to turn from
    cosine = min(1.0, max(-1.0, gram[0, 1] / (norms[0] * norms[1])))
    if abs(cosine) > DOT_THRESHOLD:
        return straight
    angle = math.acos(cosine)
    arc = [math.sin((1.0 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)]
    if norm_mode == "raw":
        return arc
    norm = (1.0 - t) * norms[0] + t * norms[1]
    return [factor * norm / own for factor, own in zip(arc, norms, strict=True)]


@merge_method(
    "slerp",
    parameters=(T, NORM_MODE),
    paper="Shoemake 1985",
    min_inputs=2,
    max_inputs=2,
    needs=("gram",),
    ordered=True,
    coefficients=slerp_coefficients,
    warm_starts=warm_starts,
)
def slerp(
    tensors: Sequence[Tensor],
    *,
    t: float = 0.5,
    norm_mode: Literal["raw", "geodesic"] = "raw",
    stats: Stats | None = None,
) -> Tensor:
    """Interpolate two models spherically.

    Args:
        tensors: The parameter in two sources, each of shape ``(*s)``, float32 or float64.
        t: 0 gives the first, 1 the second.
        norm_mode: ``raw`` applies the formula to the tensors as they are (mergekit), so that norms
            between unequal ones aren't exactly interpolated; ``geodesic`` interpolates them.
        stats: Gram matrix of the whole tensors; computed here if absent.

    Returns:
        Merged parameter, shape ``(*s)``. Nearly parallel tensors (cosine beyond ±0.9995) and those
        with a zero among them are joined by a straight line.

    Source: Shoemake 1985 (SIGGRAPH); mergekit, arXiv:2403.13257.
    """
    stats = stats or WholeTensors(None, tensors)
    return combine(tensors, slerp_coefficients(t=t, norm_mode=norm_mode, stats=stats))
