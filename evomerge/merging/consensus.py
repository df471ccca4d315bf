"""How weighted task vectors agree: a sign for each element, and the sum of those that have it."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from evomerge.merging.arithmetic import combine
from evomerge.merging.statistics import Stats

ZeroSign = Literal["plus", "majority", "drop"]
Elect = Literal["sum", "count"]
CastVotes = Callable[[Tensor, Sequence[Tensor]], list[Tensor]]
"""Pieces of the base and of the inputs → weighted, sparsified task vectors."""


def agree(
    cast: CastVotes,
    base: Tensor,
    tensors: Sequence[Tensor],
    weights: Sequence[float],
    *,
    elect: Elect,
    zero_sign: ZeroSign,
    normalize: bool,
    stats: Stats,
) -> Tensor:
    """Elect a sign for each element and merge the votes that have it.

    Args:
        cast: Gives the votes.
        base: Piece of the base, shape ``(*s)``.
        tensors: Pieces of the ``n`` inputs, each of shape ``(*s)``.
        weights: Coefficients that the votes were multiplied by, length ``n``.
        elect: ``sum`` of the votes or ``count`` of their signs.
        zero_sign: Sign where that is 0: ``plus``, the ``majority`` of the whole tensor's
            elements, or ``drop``: nothing is merged there.
        normalize: Divide by the sum of the absolute weights of those that agree.
        stats: Figures of the whole tensors.

    Returns:
        The merged task vector, shape ``(*s)``.
    """
    votes = cast(base, tensors)
    balance = _balance(votes, elect)
    if zero_sign == "plus":
        # A balance of -0 means that nobody voted, so its sign doesn't matter.
        sign = torch.copysign(torch.ones((), dtype=base.dtype), balance)
    else:
        sign = balance.sign()
    if zero_sign == "majority":
        sign.masked_fill_(sign == 0, _sign_of_all(cast, elect, stats))
    return disjoint_sum(votes, weights, sign, normalize=normalize)


def disjoint_sum(
    votes: Sequence[Tensor], weights: Sequence[float], sign: Tensor, *, normalize: bool
) -> Tensor:
    """Add up the votes that have the elected sign.

    Args:
        votes: Weighted task vectors, ``n`` tensors of shape ``(*s)``.
        weights: What they were multiplied by.
        sign: 1, -1 or 0 (nobody), shape ``(*s)``.
        normalize: Divide by the sum of the absolute weights of those that agree.
    """
    merged = torch.zeros_like(sign)
    share = torch.zeros_like(sign)
    for vote, weight in zip(votes, weights, strict=True):
        agreeing = torch.mul(vote, sign).relu_()
        merged += agreeing
        if normalize:
            share.add_(agreeing.sign_(), alpha=abs(weight))
    merged *= sign
    if normalize:
        # Where nobody agrees merged is 0, and stays so whatever it's divided by.
        merged /= share.clamp_min_(min((abs(w) for w in weights if w != 0), default=1.0))
    return merged


def _balance(votes: Sequence[Tensor], elect: Elect) -> Tensor:
    if elect == "count":
        votes = [vote.sign() for vote in votes]
    return combine(votes, [1.0] * len(votes))


def _sign_of_all(cast: CastVotes, elect: Elect, stats: Stats) -> float:
    """The sign that most elements of the whole tensor have."""

    def part(base: Tensor, tensors: Sequence[Tensor]) -> float:
        return float(_balance(cast(base, tensors), elect).sign().sum())

    total = stats.total("signs", part)
    return float((total > 0) - (total < 0))
