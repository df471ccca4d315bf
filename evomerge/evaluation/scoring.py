"""Log-likelihoods of one batch: the scored tokens' logits, their log-softmax, sums by request."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evomerge.errors import NotFiniteError
from evomerge.evaluation.batches import ScoringBatch
from evomerge.evaluation.shared_context import SharedBatch, fork_cache

Forward = Callable[..., Any]


@dataclass(frozen=True)
class Scored:
    """Log-likelihood of one continuation.

    Args:
        logprob: Sum over its tokens, natural logarithm.
        is_greedy: Each of its tokens is the most probable one.
        n_tokens: Tokens scored.
    """

    logprob: float
    is_greedy: bool
    n_tokens: int


@dataclass(frozen=True)
class _Tokens:
    """Log-probability of ``m`` tokens, and whether each is the most probable one."""

    logprob: Tensor
    greedy: Tensor


def _read_off(wanted: Tensor, target: Tensor, softmax_dtype: torch.dtype | None) -> _Tokens:
    """Score ``target``, shape ``(m,)``, by its logits ``wanted``, shape ``(m, v)``."""
    logprobs = torch.log_softmax(wanted, dim=-1, dtype=softmax_dtype)
    found = logprobs.gather(1, target[:, None])[:, 0]
    return _Tokens(found, wanted.argmax(dim=-1) == target)


def score_batch(
    forward: Forward, batch: ScoringBatch, softmax_dtype: torch.dtype | None
) -> list[Scored]:
    """Score a batch of whole sequences.

    Args:
        forward: Model call with ``input_ids`` and ``logits_to_keep``, positions or None for all;
            returns logits of shape ``(b, k, v)``.
        batch: What to score.
        softmax_dtype: Precision of the log-softmax; None takes the model's.

    Raises:
        NotFiniteError: A log-likelihood is NaN or infinite.
    """
    logits = forward(input_ids=batch.tokens, logits_to_keep=batch.keep)
    tokens = _read_off(logits[batch.row, batch.column], batch.target, softmax_dtype)
    return _add_up(tokens, batch.starts)


def score_shared(
    first: Forward, later: Forward, batch: SharedBatch, softmax_dtype: torch.dtype | None
) -> list[Scored]:
    """Score a batch of contexts and the continuations that share them.

    Args:
        first: Model call that returns logits of the last position, ``(b, 1, v)``, and the cache.
        later: Model call that returns all logits, shape ``(q, c, v)``.
        batch: What to score.
        softmax_dtype: Precision of the log-softmax; None takes the model's.

    Raises:
        NotFiniteError: A log-likelihood is NaN or infinite.
    """
    output = first(
        input_ids=batch.tokens,
        attention_mask=batch.mask,
        position_ids=batch.positions,
        past_key_values=None,
    )
    parts = [_read_off(output.logits[:, -1][batch.row], batch.target, softmax_dtype)]
    for rest in batch.rest:
        logits = later(
            input_ids=rest.tokens,
            attention_mask=rest.mask,
            position_ids=rest.positions,
            past_key_values=fork_cache(output.past_key_values, rest.rows),
        )
        parts.append(_read_off(logits[rest.row, rest.column], rest.target, softmax_dtype))
    tokens = _Tokens(
        torch.cat([part.logprob for part in parts])[batch.order],
        torch.cat([part.greedy for part in parts])[batch.order],
    )
    return _add_up(tokens, batch.starts)


def _add_up(tokens: _Tokens, starts: Sequence[int]) -> list[Scored]:
    """Sum tokens by request; one transfer from the device each for numbers and flags."""
    values = tokens.logprob.double().cpu().numpy()
    sums = np.add.reduceat(values, starts)
    all_greedy = np.logical_and.reduceat(tokens.greedy.cpu().numpy(), starts)
    if not np.isfinite(sums).all():
        raise NotFiniteError(
            "the model gave log-likelihoods that are not finite (NaN or infinity)."
        )
    counts = np.diff([*starts, len(values)])
    return [
        Scored(float(total), bool(is_greedy), int(n))
        for total, is_greedy, n in zip(sums, all_greedy, counts, strict=True)
    ]
