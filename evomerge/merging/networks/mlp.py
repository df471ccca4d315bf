"""A feed-forward network of fully connected layers."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from evomerge.errors import MergeError
from evomerge.merging.network_registry import network
from evomerge.recipes.declarations import Parameter


@network(
    "mlp",
    parameters=[
        Parameter("layers", "list", "Units of each layer, input and output too.", required=True)
    ],
)
def mlp(layers: Sequence[int]) -> nn.Module:
    """Fully connected layers with ReLU between them.

    Args:
        layers: Units of each layer: ``[64, 256, 10]`` has 64 inputs, one hidden layer, 10 outputs.

    Returns:
        Maps ``(n, layers[0])`` to ``(n, layers[-1])``.

    Raises:
        MergeError: Fewer than two numbers, or one that isn't a whole number above 0.
    """
    if len(layers) < 2 or not all(type(n) is int and n > 0 for n in layers):
        raise MergeError(
            f"layers: got {list(layers)}, expected at least two whole numbers above 0: the units "
            "of each layer, input and output included."
        )
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for index, (n_in, n_out) in enumerate(pairwise(layers), 1):
        if parts:
            parts[f"relu{index - 1}"] = nn.ReLU()
        parts[f"layer{index}"] = nn.Linear(n_in, n_out)
    return nn.Sequential(parts)
