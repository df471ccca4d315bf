"""DARE's drop and rescale: random elements of a task vector are kept and scaled up for the rest."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from evomerge.merging import native
from evomerge.merging.masks import limit_of
from evomerge.merging.statistics import SourceStats, Stats
from evomerge.recipes.declarations import Parameter, WarmStart

Rescale = Literal["inverse_density", "l1", "none"]

DENSITIES = Parameter(
    "densities",
    "float",
    "Share of each input's task vector that is kept, at random.",
    default=0.5,
    low=0.0,
    high=1.0,
    search_low=0.05,
    search_high=1.0,
    scale="log",
    step=0.001,
    per_source=True,
    searchable=True,
)
RESCALE = Parameter(
    "rescale",
    "str",
    "Factor on what is kept: 1/density (the paper), equal L1 norm (mergekit), or none.",
    default="inverse_density",
    choices=("inverse_density", "l1", "none"),
    whole_model=True,
)
SKIP_1D = Parameter(
    "skip_1d",
    "bool",
    "Keep norms and biases whole: dropping elements of them hurts.",
    default=True,
    whole_model=True,
)


def dropped(
    delta: Tensor, index: int, density: float, *, rescale: Rescale, skip_1d: bool, stats: Stats
) -> Tensor:
    """Return a piece of a task vector with random elements set to 0 and the others scaled.

    Args:
        delta: The piece of input ``index`` less the base, shape ``(*s)``.
        index: Which input.
        density: Probability of an element to be kept; 1 and above keeps all, 0 none.
        rescale: Factor on what is kept.
        skip_1d: Leave tensors of one dimension as they are.
        stats: Gives masks and the norms of whole task vectors.
    """
    if density >= 1 or (skip_1d and stats.n_dims <= 1):
        return delta
    if density <= 0:
        return torch.zeros_like(delta)
    kept = delta * stats.mask(index, density).view(delta.shape)
    if rescale == "inverse_density":
        return kept / density
    return kept * _l1_factor(index, density, stats) if rescale == "l1" else kept


def dropped_vectors(
    tensors: Sequence[Tensor],
    factors: Sequence[float],
    densities: Sequence[float],
    *,
    rescale: Rescale,
    skip_1d: bool,
    stats: SourceStats,
) -> list[native.Vector]:
    """Return for the compiled loops what ``dropped`` returns for torch.

    Args:
        tensors: The sources' whole tensors, stored values.
        factors: What each task vector is multiplied by after dropping.
        densities: Share of each that is kept.
        rescale: Factor on what is kept.
        skip_1d: Leave tensors of one dimension as they are.
        stats: Gives the draws and the norms of whole task vectors.
    """
    vectors = []
    for i, (tensor, factor, density) in enumerate(zip(tensors, factors, densities, strict=True)):
        if density >= 1 or (skip_1d and stats.n_dims <= 1):
            vectors.append(native.whole(tensor, weight=factor))
            continue
        by_density = rescale == "inverse_density" and density > 0
        by_norm = rescale == "l1" and density > 0
        vectors.append(
            native.random(
                tensor,
                weight=factor,
                key=stats.stream(i).key,
                limit=limit_of(density),
                divisor=density if by_density else 1.0,
                factor=_l1_factor(i, density, stats) if by_norm else 1.0,
            )
        )
    return vectors


def _l1_factor(index: int, density: float, stats: Stats) -> float:
    """The factor that gives what is kept the L1 norm of the whole task vector."""

    def whole(base: Tensor, tensors: Sequence[Tensor]) -> float:
        return float((tensors[index] - base).abs().sum(dtype=torch.float64))

    def kept(base: Tensor, tensors: Sequence[Tensor]) -> float:
        delta = (tensors[index] - base).abs()
        return float(
            (delta * stats.mask(index, density).view(delta.shape)).sum(dtype=torch.float64)
        )

    after = stats.total(f"kept {index}", kept)
    return stats.total(f"whole {index}", whole) / after if after > 0 else 1.0


def warm_starts(inputs: Sequence[str]) -> list[WarmStart]:
    """Return the base, each input alone and undropped, the uniform average and a published one."""
    n = len(inputs)
    whole = [1.0] * n
    alone = [
        WarmStart(
            f"parent:{name}",
            {"weights": [float(i == j) for j in range(n)], "densities": whole, "scale": 1.0},
        )
        for i, name in enumerate(inputs)
    ]
    return [
        WarmStart("base", {"weights": [0.0] * n, "densities": whole, "scale": 1.0}),
        *alone,
        WarmStart("uniform", {"weights": [1.0 / n] * n, "densities": whole, "scale": 1.0}),
        WarmStart("default", {"weights": [1.0 / n] * n, "densities": [0.5] * n, "scale": 1.0}),
    ]
