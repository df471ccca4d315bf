"""TIES: trim task vectors, elect a sign for each element, and average those that agree with it.

Works on one parameter at a time and needs a base; the trim looks at the whole parameter.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from evomerge.merging import native
from evomerge.merging.arithmetic import check_lengths
from evomerge.merging.consensus import Elect, ZeroSign, agree
from evomerge.merging.methods.task_arithmetic import SCALE, WEIGHTS
from evomerge.merging.registry import merge_method
from evomerge.merging.statistics import SourceStats, Stats, WholeTensors
from evomerge.recipes.declarations import Parameter, WarmStart

DENSITIES = Parameter(
    "densities",
    "float",
    "Share of each input's task vector that is kept: the largest magnitudes.",
    default=0.2,
    low=0.0,
    high=1.0,
    search_low=0.05,
    search_high=1.0,
    step=0.001,
    per_source=True,
    searchable=True,
)
NORMALIZE = Parameter(
    "normalize",
    "bool",
    "Average the inputs that agree, instead of adding them up.",
    default=True,
    searchable=True,
    whole_model=True,
)
ZERO_SIGN = Parameter(
    "zero_sign",
    "str",
    "Sign where the inputs cancel out: plus, the parameter's majority, or drop (the base stays).",
    default="plus",
    choices=("plus", "majority", "drop"),
    whole_model=True,
)
ELECT = Parameter(
    "elect",
    "str",
    "What votes for the sign: the sum of the weighted values, or their count.",
    default="sum",
    choices=("sum", "count"),
    searchable=True,
    whole_model=True,
)


def warm_starts(inputs: Sequence[str]) -> list[WarmStart]:
    """Return the base, each input alone, the published setting and one for fewer conflicts."""
    n = len(inputs)
    alone = [
        WarmStart(
            f"parent:{name}",
            {
                "weights": [float(i == j) for j in range(n)],
                "densities": [1.0] * n,
                "scale": 1.0,
            },
        )
        for i, name in enumerate(inputs)
    ]
    even = [1.0] * n
    return [
        WarmStart("base", {"weights": [0.0] * n, "densities": even, "scale": 1.0}),
        *alone,
        WarmStart("default", {"weights": even, "densities": [0.2] * n, "scale": 1.0}),
        WarmStart("uniform", {"weights": even, "densities": even, "scale": 1.0}),
    ]


def ties_fused(
    out: Tensor,
    base: Tensor,
    tensors: Sequence[Tensor],
    *,
    weights: Sequence[float],
    densities: Sequence[float],
    scale: float,
    normalize: bool,
    zero_sign: ZeroSign,
    elect: Elect,
    stats: SourceStats,
) -> bool:
    """Do what ``ties`` does for whole tensors of sources, except for ``zero_sign`` majority."""
    if zero_sign == "majority":
        return False
    cuts = [stats.cut(i, density) for i, density in enumerate(densities)]
    vectors = [
        native.largest(tensor, weight=weight, threshold=cut.threshold, last=cut.last)
        for tensor, weight, cut in zip(tensors, weights, cuts, strict=True)
    ]
    zero = 1.0 if zero_sign == "plus" else 0.0
    return native.merge_vectors(
        out, base, vectors, elect=elect, zero=zero, normalize=normalize, scale=scale
    )


@merge_method(
    "ties",
    parameters=(WEIGHTS, DENSITIES, SCALE, NORMALIZE, ZERO_SIGN, ELECT),
    paper="arXiv:2306.01708",
    needs_base=True,
    needs=("thresholds",),
    drops_zero=True,
    fused=ties_fused,
    warm_starts=warm_starts,
)
def ties(
    base: Tensor,
    tensors: Sequence[Tensor],
    *,
    weights: Sequence[float],
    densities: Sequence[float],
    scale: float = 1.0,
    normalize: bool = True,
    zero_sign: ZeroSign = "plus",
    elect: Elect = "sum",
    stats: Stats | None = None,
) -> Tensor:
    """Trim task vectors, elect signs and average what agrees.

    Args:
        base: The base's parameter, shape ``(*s)``, float32 or float64.
        tensors: The same parameter in each of ``n`` sources, each of shape ``(*s)``.
        weights: Coefficient of each source, length ``n``; a negative one votes against its source.
        densities: Share of each task vector that is kept, length ``n``, 0 to 1: exactly
            ``⌊density·d⌋`` elements of the whole parameter, equal magnitudes by lower flat index.
        scale: Factor on the merged task vector; 0 gives the base back.
        normalize: Divide by the sum of the absolute weights of those that agree.
        zero_sign: Sign where the votes cancel out.
        elect: ``sum`` of the weighted values (the paper), or ``count`` of their signs.
        stats: Where to cut; from ``tensors`` as the whole parameter if absent.

    Returns:
        Merged parameter, shape ``(*s)``.

    Raises:
        MergeError: ``weights`` or ``densities`` and ``tensors`` differ in length.

    Source: Yadav et al. 2023, arXiv:2306.01708; zero_sign plus and normalize as in mergekit.
    """
    check_lengths("ties", tensors, weights=weights, densities=densities)
    figures = stats or WholeTensors(base, tensors)

    def cast(base: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
        return [
            figures.trim(i, tensors[i] - base, density) * weights[i]
            for i, density in enumerate(densities)
        ]

    merged = agree(
        cast,
        base,
        tensors,
        weights,
        elect=elect,
        zero_sign=zero_sign,
        normalize=normalize,
        stats=figures,
    )
    return torch.add(base, merged, alpha=scale)
