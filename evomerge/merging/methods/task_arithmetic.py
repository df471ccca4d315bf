"""Task arithmetic: add weighted task vectors to a base model.

Works on one parameter at a time and needs a base. A negative weight takes an ability away.
"""

from collections.abc import Sequence

from torch import Tensor

from evomerge.merging.arithmetic import check_lengths, combine
from evomerge.merging.registry import merge_method
from evomerge.recipes.declarations import Parameter, WarmStart

WEIGHTS = Parameter(
    "weights",
    "float",
    "Coefficient of each input's task vector.",
    default=1.0,
    low=-10.0,
    high=10.0,
    search_low=-0.5,
    search_high=1.5,
    per_source=True,
    searchable=True,
)
SCALE = Parameter(
    "scale",
    "float",
    "Factor on the merged task vector; 0 gives the base back.",
    default=1.0,
    low=-10.0,
    high=10.0,
    search_low=0.0,
    search_high=1.5,
    searchable=True,
)


def warm_starts(inputs: Sequence[str]) -> list[WarmStart]:
    """Return the base, each input alone, the uniform average and the published 0.3 a task."""
    n = len(inputs)
    alone = [
        WarmStart(f"parent:{name}", {"weights": [float(i == j) for j in range(n)], "scale": 1.0})
        for i, name in enumerate(inputs)
    ]
    return [
        WarmStart("base", {"weights": [0.0] * n, "scale": 1.0}),
        *alone,
        WarmStart("uniform", {"weights": [1.0 / n] * n, "scale": 1.0}),
        WarmStart("default", {"weights": [0.3] * n, "scale": 1.0}),
    ]


def task_coefficients(*, weights: Sequence[float], scale: float = 1.0) -> list[float]:
    """Return the coefficients of base and inputs: ``θ0 + λ Σ wᵢ (θᵢ − θ0)`` collected."""
    return [1.0 - scale * sum(weights), *(scale * weight for weight in weights)]


@merge_method(
    "task_arithmetic",
    parameters=(WEIGHTS, SCALE),
    paper="arXiv:2212.04089",
    needs_base=True,
    drops_zero=True,
    coefficients=task_coefficients,
    warm_starts=warm_starts,
)
def task_arithmetic(
    base: Tensor, tensors: Sequence[Tensor], *, weights: Sequence[float], scale: float = 1.0
) -> Tensor:
    """Add weighted task vectors to a base model.

    Args:
        base: The base's parameter, shape ``(*s)``, float32 or float64.
        tensors: The same parameter in each of ``n`` sources, each of shape ``(*s)``.
        weights: Coefficient of each source, length ``n``, dimensionless, usually 0 to 1.
        scale: Factor on the summed task vectors; 0 gives the base back.

    Returns:
        Merged parameter, shape ``(*s)``, with the dtype and device of ``base``.

    Raises:
        MergeError: ``weights`` and ``tensors`` differ in length.

    Source: Ilharco et al. 2022, arXiv:2212.04089.
    """
    check_lengths("task_arithmetic", tensors, weights=weights)
    return combine([base, *tensors], task_coefficients(weights=weights, scale=scale))
