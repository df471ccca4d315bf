"""DARE-TIES: drop random elements of task vectors, then elect signs and average those that agree.

Works on one parameter at a time and needs a base. It is TIES with DARE's random drop in place of
the trim by magnitude.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from evomerge.merging import native
from evomerge.merging.arithmetic import check_lengths
from evomerge.merging.consensus import Elect, ZeroSign, agree
from evomerge.merging.dropping import (
    DENSITIES,
    RESCALE,
    SKIP_1D,
    Rescale,
    dropped,
    dropped_vectors,
    warm_starts,
)
from evomerge.merging.methods.task_arithmetic import SCALE, WEIGHTS
from evomerge.merging.methods.ties import ELECT, NORMALIZE, ZERO_SIGN
from evomerge.merging.registry import merge_method
from evomerge.merging.statistics import SourceStats, Stats, WholeTensors


def dare_ties_fused(
    out: Tensor,
    base: Tensor,
    tensors: Sequence[Tensor],
    *,
    weights: Sequence[float],
    densities: Sequence[float],
    scale: float,
    rescale: Rescale,
    skip_1d: bool,
    normalize: bool,
    zero_sign: ZeroSign,
    elect: Elect,
    stats: SourceStats,
) -> bool:
    """Do what ``dare_ties`` does for whole tensors, except for ``zero_sign`` majority."""
    if zero_sign == "majority":
        return False
    vectors = dropped_vectors(
        tensors, weights, densities, rescale=rescale, skip_1d=skip_1d, stats=stats
    )
    zero = 1.0 if zero_sign == "plus" else 0.0
    return native.merge_vectors(
        out, base, vectors, elect=elect, zero=zero, normalize=normalize, scale=scale
    )


@merge_method(
    "dare_ties",
    parameters=(WEIGHTS, DENSITIES, SCALE, RESCALE, SKIP_1D, NORMALIZE, ZERO_SIGN, ELECT),
    paper="arXiv:2311.03099",
    needs_base=True,
    needs=("masks",),
    drops_zero=True,
    fused=dare_ties_fused,
    warm_starts=warm_starts,
)
def dare_ties(
    base: Tensor,
    tensors: Sequence[Tensor],
    *,
    weights: Sequence[float],
    densities: Sequence[float],
    scale: float = 1.0,
    rescale: Rescale = "inverse_density",
    skip_1d: bool = True,
    normalize: bool = True,
    zero_sign: ZeroSign = "plus",
    elect: Elect = "sum",
    stats: Stats | None = None,
) -> Tensor:
    """Drop random elements of task vectors, elect signs and average what agrees.

    Args:
        base: The base's parameter, shape ``(*s)``, float32 or float64.
        tensors: The same parameter in each of ``n`` sources, each of shape ``(*s)``.
        weights: Coefficient of each source, length ``n``; a negative one votes against its source.
        densities: Share of each task vector that is kept, length ``n``, 0 to 1.
        scale: Factor on the merged task vector; 0 gives the base back.
        rescale: Factor on what is kept; see ``dare_linear``.
        skip_1d: Drop nothing of parameters with one dimension.
        normalize: Divide by the sum of the absolute weights of those that agree.
        zero_sign: Sign where the votes cancel out.
        elect: ``sum`` of the weighted values or ``count`` of their signs.
        stats: Gives the masks; nothing is dropped if absent.

    Returns:
        Merged parameter, shape ``(*s)``; with densities of 1 that of TIES with densities of 1.

    Raises:
        MergeError: ``weights`` or ``densities`` and ``tensors`` differ in length.

    Source: Yu et al. 2023, arXiv:2311.03099, with the merge of Yadav et al. 2023.
    """
    check_lengths("dare_ties", tensors, weights=weights, densities=densities)
    figures = stats or WholeTensors(base, tensors)

    def cast(base: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
        return [
            dropped(tensors[i] - base, i, density, rescale=rescale, skip_1d=skip_1d, stats=figures)
            * weights[i]
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
