"""DARE: drop random elements of task vectors, rescale the others and add them to the base.

Works on one parameter at a time and needs a base. Masks depend on the seed, the source's content
and the tensor's name only; a candidate's score under another seed differs by chance.
"""

from collections.abc import Sequence

from torch import Tensor

from evomerge.merging import native
from evomerge.merging.arithmetic import check_lengths, combine
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
from evomerge.merging.registry import merge_method
from evomerge.merging.statistics import SourceStats, Stats, WholeTensors


def dare_linear_fused(
    out: Tensor,
    base: Tensor,
    tensors: Sequence[Tensor],
    *,
    weights: Sequence[float],
    densities: Sequence[float],
    scale: float,
    rescale: Rescale,
    skip_1d: bool,
    stats: SourceStats,
) -> bool:
    """Do what ``dare_linear`` does for whole tensors of sources."""
    factors = [scale * weight for weight in weights]
    vectors = dropped_vectors(
        tensors, factors, densities, rescale=rescale, skip_1d=skip_1d, stats=stats
    )
    return native.merge_vectors(
        out, base, vectors, elect=None, zero=0.0, normalize=False, scale=1.0
    )


@merge_method(
    "dare_linear",
    parameters=(WEIGHTS, DENSITIES, SCALE, RESCALE, SKIP_1D),
    paper="arXiv:2311.03099",
    needs_base=True,
    needs=("masks",),
    drops_zero=True,
    fused=dare_linear_fused,
    warm_starts=warm_starts,
)
def dare_linear(
    base: Tensor,
    tensors: Sequence[Tensor],
    *,
    weights: Sequence[float],
    densities: Sequence[float],
    scale: float = 1.0,
    rescale: Rescale = "inverse_density",
    skip_1d: bool = True,
    stats: Stats | None = None,
) -> Tensor:
    """Add task vectors of which random elements were dropped.

    Args:
        base: The base's parameter, shape ``(*s)``, float32 or float64.
        tensors: The same parameter in each of ``n`` sources, each of shape ``(*s)``.
        weights: Coefficient of each source, length ``n``.
        densities: Share of each task vector that is kept, length ``n``, 0 to 1.
        scale: Factor on the summed task vectors; 0 gives the base back.
        rescale: What is kept is divided by its density (``inverse_density``), scaled to the whole
            task vector's L1 norm (``l1``), or left as it is (``none``).
        skip_1d: Drop nothing of parameters with one dimension.
        stats: Gives the masks; nothing is dropped if absent.

    Returns:
        Merged parameter, shape ``(*s)``; with densities of 1 that of task arithmetic.

    Raises:
        MergeError: ``weights`` or ``densities`` and ``tensors`` differ in length.

    Source: Yu et al. 2023, arXiv:2311.03099; rescale l1 as in mergekit.
    """
    check_lengths("dare_linear", tensors, weights=weights, densities=densities)
    figures = stats or WholeTensors(base, tensors)
    kept = [
        dropped(tensors[i] - base, i, density, rescale=rescale, skip_1d=skip_1d, stats=figures)
        for i, density in enumerate(densities)
    ]
    return combine([base, *kept], [1.0, *(scale * weight for weight in weights)])
