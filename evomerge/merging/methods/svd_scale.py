"""Task arithmetic with task vectors whose singular values are raised at random: CycleQD's mutation.

Works on whole matrices and needs a base. A singular value decomposition for each matrix of each
input with a seed: minutes for a model of billions of parameters, nothing for small ones. What is
drawn depends on the seed, the source's content and the tensor's name only.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from evomerge.merging.arithmetic import check_lengths, combine
from evomerge.merging.methods.task_arithmetic import WEIGHTS
from evomerge.merging.registry import merge_method
from evomerge.merging.statistics import Stats, WholeTensors
from evomerge.recipes.declarations import Parameter, WarmStart

MOST_SEEDS = 999_999
SEEDS = Parameter(
    "seeds",
    "int",
    "What the factors of each input are drawn from; 0 leaves it as it is.",
    default=0,
    low=0,
    high=MOST_SEEDS,
    search_low=0,
    search_high=MOST_SEEDS,
    per_source=True,
    searchable=True,
    whole_model=True,
)
RATE = Parameter(
    "rate",
    "float",
    "Share by which a singular value is raised at most.",
    default=0.1,
    low=0.0,
    high=10.0,
    search_low=0.0,
    search_high=0.5,
    searchable=True,
    whole_model=True,
)


def warm_starts(inputs: Sequence[str]) -> list[WarmStart]:
    """Return the base, each input alone and the uniform average, none of them changed."""
    n = len(inputs)
    weights = {"base": [0.0] * n, "uniform": [1.0 / n] * n}
    for i, name in enumerate(inputs):
        weights[f"parent:{name}"] = [float(i == j) for j in range(n)]
    return [
        WarmStart(label, {"weights": row, "seeds": [0] * n, "rate": 0.1})
        for label, row in weights.items()
    ]


def raised(delta: Tensor, draws: Tensor, rate: float) -> Tensor:
    """Return a task vector with each singular value multiplied by ``1 + rate · draw``.

    Args:
        delta: A matrix, shape ``(m, n)``, or of more dimensions, the first of which are its rows.
        draws: Uniform in [0, 1), float64, shape ``(min(m, n),)``, for the largest value first.
        rate: Share by which a value is raised at most.

    Returns:
        Shape and dtype of ``delta``; computed in float64, in which vectors of nearly equal values
        are still apart.
    """
    matrix = delta.reshape(delta.shape[0], -1).to(torch.float64)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    factors = rate * draws.to(s.device) * s
    more: Tensor = (u * factors) @ v
    return (matrix + more).view(delta.shape).to(delta.dtype)


@merge_method(
    "svd_scale",
    parameters=(WEIGHTS, SEEDS, RATE),
    paper="arXiv:2410.14735",
    needs_base=True,
    needs=("draws",),
    chunked=False,
    drops_zero=True,
    warm_starts=warm_starts,
)
def svd_scale(
    base: Tensor,
    tensors: Sequence[Tensor],
    *,
    weights: Sequence[float],
    seeds: Sequence[int],
    rate: float = 0.1,
    stats: Stats | None = None,
) -> Tensor:
    """Add weighted task vectors with randomly raised singular values to a base model.

    Args:
        base: The base's whole parameter, shape ``(*s)``, float32 or float64.
        tensors: The same parameter in each of ``n`` sources, each of shape ``(*s)``.
        weights: Coefficient of each source, length ``n``.
        seeds: What the factors of each source are drawn from, length ``n``; 0: it stays as it is.
        rate: Share by which a singular value is raised at most: 0.1 multiplies by 1 to 1.1.
        stats: Gives the draws.

    Returns:
        Merged parameter, shape ``(*s)``; that of task arithmetic for vectors (norms, biases).

    Raises:
        MergeError: ``weights`` or ``seeds`` and ``tensors`` differ in length.

    Source: Kuroki et al. 2024, arXiv:2410.14735; as its code, which adds to the task vector what
    the paper multiplies it with.
    """
    check_lengths("svd_scale", tensors, weights=weights, seeds=seeds)
    figures = stats or WholeTensors(base, tensors)
    vectors = []
    for index, (tensor, seed) in enumerate(zip(tensors, seeds, strict=True)):
        delta = tensor - base
        # A matrix of one row or column has one singular value, which is no direction to raise.
        if seed and rate and base.ndim > 1 and (rank := min(len(base), base[0].numel())) > 1:
            delta = raised(delta, figures.draws(index, int(seed), rank), rate)
        vectors.append(delta)
    return combine([base, *vectors], [1.0, *weights])
