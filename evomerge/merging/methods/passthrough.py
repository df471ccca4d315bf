"""Passthrough: one model's parameter as it is, or scaled.

Layer stacks are built from it: a scale of 0 on the projections that write into the residual stream
turns a layer into the identity.
"""

from collections.abc import Sequence

from torch import Tensor

from evomerge.merging.arithmetic import combine
from evomerge.merging.registry import merge_method
from evomerge.recipes.declarations import Parameter, WarmStart

SCALE = Parameter(
    "scale",
    "float",
    "Factor on the parameter.",
    default=1.0,
    low=-10.0,
    high=10.0,
    search_low=0.0,
    search_high=1.2,
    searchable=True,
)


def scale_coefficients(*, scale: float = 1.0) -> list[float]:
    """Return ``scale`` as the only coefficient."""
    return [scale]


@merge_method(
    "passthrough",
    parameters=(SCALE,),
    paper="arXiv:2312.15166",
    max_inputs=1,
    coefficients=scale_coefficients,
    warm_starts=lambda inputs: [WarmStart(f"parent:{inputs[0]}", {"scale": 1.0})],
)
def passthrough(tensors: Sequence[Tensor], *, scale: float = 1.0) -> Tensor:
    """Copy one model, scaled where asked.

    Args:
        tensors: The parameter in one source, shape ``(*s)``.
        scale: Factor on it; 1 copies it bit for bit.

    Returns:
        The parameter, shape ``(*s)``.

    Source: Kim et al. 2023, arXiv:2312.15166; mergekit's method of the same name.
    """
    return combine(tensors, scale_coefficients(scale=scale))
