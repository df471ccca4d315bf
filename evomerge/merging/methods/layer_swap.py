"""Layer swapping: the outer layers of one model around the middle layers of another.

Nothing is computed outside the transitions: parameters come whole from one of the two models.
"""

from collections.abc import Sequence

from torch import Tensor

from evomerge.merging.arithmetic import combine
from evomerge.merging.registry import merge_method
from evomerge.merging.statistics import Stats
from evomerge.recipes.declarations import Parameter, WarmStart


def _layers(name: str, help: str, default: int, search_high: int) -> Parameter:
    return Parameter(
        name,
        "int",
        help,
        default=default,
        low=0,
        search_low=0,
        search_high=search_high,
        searchable=True,
        whole_model=True,
    )


PARAMETERS = (
    _layers("bottom", "First layers that come from the first input.", 1, 8),
    _layers("top", "Last layers that come from the first input.", 1, 8),
    _layers("transition", "Layers next to each border that mix both inputs.", 1, 3),
    Parameter(
        "t_transition",
        "float",
        "Share of the first input in a transition layer.",
        default=0.5,
        low=0.0,
        high=1.0,
        search_low=0.0,
        search_high=1.0,
        searchable=True,
        whole_model=True,
    ),
)


def warm_starts(inputs: Sequence[str]) -> list[WarmStart]:
    """Return the published shape: a thin shell of the first input around the second."""
    shape = {"bottom": 1, "top": 1, "transition": 1, "t_transition": 0.5}
    return [WarmStart("default", shape)]


def swap_coefficients(
    *,
    bottom: int = 1,
    top: int = 1,
    transition: int = 1,
    t_transition: float = 0.5,
    stats: Stats,
) -> list[float]:
    """Return the shares of the first and second input in the layer of ``stats``.

    Args:
        bottom: See ``layer_swap``, as for all others.
        top: Layers at the end.
        transition: Layers at a border.
        t_transition: Share of the first input there.
        stats: Gives ``layer`` (None outside the layers) and ``n_layers``.
    """
    first = share_of_first(
        stats.layer,
        stats.n_layers,
        bottom=int(bottom),
        top=int(top),
        transition=int(transition),
        t_transition=t_transition,
    )
    return [first, 1.0 - first]


def share_of_first(
    layer: int | None,
    n_layers: int,
    *,
    bottom: int,
    top: int,
    transition: int,
    t_transition: float,
) -> float:
    """Return the first input's share in ``layer``: 1 outside, 0 in the middle."""
    if layer is None or layer < bottom or layer >= n_layers - top:
        return 1.0
    if layer < bottom + transition or layer >= n_layers - top - transition:
        return t_transition
    return 0.0


@merge_method(
    "layer_swap",
    parameters=PARAMETERS,
    paper="arXiv:2410.01335",
    min_inputs=2,
    max_inputs=2,
    needs=("layer",),
    ordered=True,
    coefficients=swap_coefficients,
    warm_starts=warm_starts,
)
def layer_swap(
    tensors: Sequence[Tensor],
    *,
    bottom: int = 1,
    top: int = 1,
    transition: int = 1,
    t_transition: float = 0.5,
    stats: Stats,
) -> Tensor:
    """Put the middle layers of the second input between the outer layers of the first.

    Args:
        tensors: The parameter in two sources, each of shape ``(*s)``.
        bottom: Number of first layers from the first input.
        top: Number of last layers from the first input.
        transition: Number of middle layers next to each border that mix both.
        t_transition: Share of the first input in those.
        stats: Gives ``layer`` and ``n_layers``. Outside the layers everything is the first input's.

    Returns:
        The parameter, shape ``(*s)``, bit-equal to one input's outside the transitions.

    Source: Bandarkar et al. 2024, arXiv:2410.01335; the transition's mix is this project's.
    """
    coefficients = swap_coefficients(
        bottom=bottom, top=top, transition=transition, t_transition=t_transition, stats=stats
    )
    return combine(tensors, coefficients)
