"""Linear: a weighted average of models, or their weighted sum.

Works on one parameter at a time and needs no base; the base may be one of the inputs.
"""

from collections.abc import Sequence

from torch import Tensor

from evomerge.errors import MergeError
from evomerge.merging.arithmetic import check_lengths, combine
from evomerge.merging.registry import merge_method
from evomerge.recipes.declarations import Parameter, WarmStart

PARAMETERS = (
    Parameter(
        "weights",
        "float",
        "Coefficient of each input.",
        default=1.0,
        low=-10.0,
        high=10.0,
        search_low=0.0,
        search_high=1.0,
        per_source=True,
        searchable=True,
    ),
    Parameter(
        "normalize", "bool", "Divide by the sum of the weights.", default=True, whole_model=True
    ),
)


def warm_starts(inputs: Sequence[str]) -> list[WarmStart]:
    """Return each input alone and the uniform average."""
    n = len(inputs)
    alone = [
        WarmStart(f"parent:{name}", {"weights": [float(i == j) for j in range(n)]})
        for i, name in enumerate(inputs)
    ]
    return [*alone, WarmStart("uniform", {"weights": [1.0 / n] * n})]


def linear_coefficients(*, weights: Sequence[float], normalize: bool = True) -> list[float]:
    """Return ``weights``, divided by their sum where ``normalize``.

    Raises:
        MergeError: They are to be normalised and their sum is 0.
    """
    total = sum(weights) if normalize else 1.0
    if abs(total) < 1e-8:
        raise MergeError(
            f"linear got weights {list(weights)}, whose sum is {total:g}; expected another "
            "sum than 0 where normalize is true. Change a weight, or set normalize: false."
        )
    return [weight / total for weight in weights]


@merge_method(
    "linear",
    parameters=PARAMETERS,
    paper="arXiv:2203.05482",
    coefficients=linear_coefficients,
    warm_starts=warm_starts,
)
def linear(
    tensors: Sequence[Tensor], *, weights: Sequence[float], normalize: bool = True
) -> Tensor:
    """Average models with weights.

    Args:
        tensors: The parameter in each of ``n`` sources, each of shape ``(*s)``, float32 or float64.
        weights: Coefficient of each source, length ``n``, dimensionless, usually 0 to 1.
        normalize: Divide by the sum of the weights; without it, norm gains are scaled too.

    Returns:
        Merged parameter, shape ``(*s)``; a one-hot weight gives that source bit for bit.

    Raises:
        MergeError: ``weights`` and ``tensors`` differ in length, or sum to 0 and are normalised.

    Source: Wortsman et al. 2022, arXiv:2203.05482.
    """
    check_lengths("linear", tensors, weights=weights)
    return combine(tensors, linear_coefficients(weights=weights, normalize=normalize))
