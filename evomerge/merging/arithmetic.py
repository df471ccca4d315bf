"""Sums of tensors in a fixed order: what linear methods have in common."""

from collections.abc import Sequence

import torch
from torch import Tensor

from evomerge.errors import MergeError


def combine(
    tensors: Sequence[Tensor], coefficients: Sequence[float], out: Tensor | None = None
) -> Tensor:
    """Return ``Σ coefficients[i] · tensors[i]``, added up from left to right.

    A tensor with coefficient 0 isn't looked at, and a single one with coefficient 1 comes back
    as it is, so that one-hot coefficients give that tensor bit for bit.

    Args:
        tensors: ``n`` tensors of one shape ``(*s)`` and dtype, float32 or float64.
        coefficients: One factor a tensor.
        out: Where the result may be written; a new tensor if absent.

    Returns:
        The sum, shape ``(*s)``; ``out``, a new tensor, or one of ``tensors``.
    """
    terms = [(index, float(c)) for index, c in enumerate(coefficients) if c != 0]
    if not terms:
        return torch.zeros_like(tensors[0]) if out is None else out.zero_()
    (first, factor), *rest = terms
    if factor == 1 and not rest:
        return tensors[first]
    start = tensors[first]
    # A 0-dim tensor: torch turns a Python number into one on every call, which costs more.
    total = torch.mul(start, torch.tensor(factor, dtype=start.dtype), out=out)
    for index, factor in rest:
        total.add_(tensors[index], alpha=factor)
    return total


def check_lengths(method: str, tensors: Sequence[Tensor], **values: Sequence[float]) -> None:
    """Raise a MergeError unless there is one value of each kind a tensor."""
    for name, given in values.items():
        if len(given) != len(tensors):
            raise MergeError(
                f"{method} got {len(given)} {name} for {len(tensors)} inputs. "
                f"Give one value per input under '{name}'."
            )
