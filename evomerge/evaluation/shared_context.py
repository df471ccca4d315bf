"""Batches of continuations that share contexts: each context is read once, its choices after it.

The contexts' KV cache is handed to each of their continuations, so that four choices of a question
cost one question and four choices instead of four questions.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from evomerge.evaluation.batches import ScoringRequest, Slot, left_pad

MIN_CONTEXT = 12
"""Shorter contexts aren't worth a pass of their own."""


@dataclass(frozen=True)
class RestPass:
    """Second and later tokens of ``q`` continuations.

    Args:
        rows: Context of each continuation, shape ``(q,)``.
        tokens: Model input, padded on the right, shape ``(q, c)``, int64.
        mask: Shape ``(q, t + c)``, 0 at the contexts' padding; None where no context is padded.
        positions: Shape ``(q, c)``; None where no context is padded.
        row, column, target: Where each scored token's logits are, and the token, shape ``(m,)``.
    """

    rows: Tensor
    tokens: Tensor
    mask: Tensor | None
    positions: Tensor | None
    row: Tensor
    column: Tensor
    target: Tensor


@dataclass(frozen=True)
class SharedBatch:
    """Contexts of ``b`` groups of requests, padded on the left to ``t`` tokens.

    Args:
        slots: Whose tokens each segment holds.
        tokens, mask, positions: The contexts, shape ``(b, t)``; None where no row is padded.
        row, target: Context and first token of each request, one a request.
        rest: Passes over the later tokens.
        order: Puts the scored tokens of all passes, one after the other, in order of requests.
        starts: First scored token of each request.
    """

    slots: tuple[Slot, ...]
    tokens: Tensor
    mask: Tensor | None
    positions: Tensor | None
    row: Tensor
    target: Tensor
    rest: tuple[RestPass, ...]
    order: Tensor
    starts: tuple[int, ...]

    @property
    def n_rows(self) -> int:
        """Most rows that go through the model at once."""
        return max(len(self.tokens), *(len(part.tokens) for part in self.rest), 0)


Group = tuple[tuple[int, ...], list[tuple[Slot, ScoringRequest]]]
"""A context and the requests that have it."""


def sharing_groups(requests: Iterable[tuple[Slot, ScoringRequest]]) -> list[Group]:
    """Return the contexts that are worth reading once, longest first, with their requests."""
    groups: dict[tuple[int, ...], list[tuple[Slot, ScoringRequest]]] = {}
    for slot, request in requests:
        groups.setdefault(request.context, []).append((slot, request))
    worth = [
        (context, members)
        for context, members in groups.items()
        # One input is all that continuations need which differ in their last token only.
        if len(context) >= MIN_CONTEXT
        and len({request.continuation[:-1] for _, request in members}) > 1
    ]
    return sorted(worth, key=lambda group: (-len(group[0]), group[0]))


def shared_batch(
    groups: Sequence[Group],
    *,
    batch_size: int,
    max_logits: int,
    pad_id: int,
    device: torch.device,
) -> SharedBatch:
    """Collate groups of requests, one context a row.

    Args:
        groups: At most ``batch_size`` of them.
        batch_size: Most continuations in a pass.
        max_logits: Most continuations × positions in a pass; one continuation is always allowed.
        pad_id: Stands on the left of shorter contexts.
        device: Where the batch lives.
    """
    tokens, mask, positions = left_pad([context for context, _ in groups], pad_id, device)
    members = [(row, *member) for row, (_, found) in enumerate(groups) for member in found]
    passes = _passes(members, batch_size, max_logits)
    where = {
        one: (number, own) for number, part in enumerate(passes) for own, one in enumerate(part)
    }
    scored: list[list[tuple[int, int, int]]] = [[] for _ in passes]
    later: list[list[int]] = [[] for _ in passes]
    starts: list[int] = []
    n_tokens = 0
    for row, _, request in members:
        starts.append(n_tokens)
        for step, token in enumerate(request.continuation[1:]):
            number, own = where[row, request.continuation[:-1]]
            scored[number].append((own, step, token))
            later[number].append(n_tokens + step + 1)
        n_tokens += len(request.continuation)
    # Place of each scored token, in the order in which the passes give them.
    place = torch.tensor([*starts, *(index for part in later for index in part)])
    return SharedBatch(
        slots=tuple(slot for _, slot, _ in members),
        tokens=tokens,
        mask=mask,
        positions=positions,
        row=torch.tensor([row for row, _, _ in members], device=device),
        target=torch.tensor([r.continuation[0] for _, _, r in members], device=device),
        rest=tuple(
            _rest_pass(part, found, mask, positions, device)
            for part, found in zip(passes, scored, strict=True)
        ),
        order=place.argsort().to(device),
        starts=tuple(starts),
    )


_Input = tuple[int, tuple[int, ...]]
"""(context row, tokens that follow the context)."""


def _passes(
    members: Sequence[tuple[int, Slot, ScoringRequest]], batch_size: int, max_logits: int
) -> list[list[_Input]]:
    """Return what later passes read: all but the last tokens, longest first, equal ones once."""
    inputs = sorted(
        {(row, request.continuation[:-1]) for row, _, request in members},
        key=lambda one: (-len(one[1]), one),
    )
    inputs = [one for one in inputs if one[1]]
    passes = []
    while inputs:
        n = max(1, min(batch_size, max_logits // len(inputs[0][1])))
        passes.append(inputs[:n])
        inputs = inputs[n:]
    return passes


def _rest_pass(
    part: Sequence[_Input],
    scored: Sequence[tuple[int, int, int]],
    mask: Tensor | None,
    positions: Tensor | None,
    device: torch.device,
) -> RestPass:
    """Collate one pass; ``scored`` holds (row of the pass, column, token)."""
    longest = max(len(inputs) for _, inputs in part)
    tokens = torch.zeros((len(part), longest), dtype=torch.int64)
    for index, (_, inputs) in enumerate(part):
        tokens[index, : len(inputs)] = torch.tensor(inputs)
    rows = torch.tensor([row for row, _ in part], device=device)
    full_mask, full_positions = None, None
    if mask is not None and positions is not None:
        full_mask = torch.cat([mask[rows], mask.new_ones((len(part), longest))], dim=1)
        full_positions = positions[rows, -1:] + 1 + torch.arange(longest, device=device)
    row, column, target = torch.tensor(scored, device=device).T
    return RestPass(rows, tokens.to(device), full_mask, full_positions, row, column, target)


def fork_cache(cache: Any, rows: Tensor) -> Any:
    """Return a cache that goes on from the ``rows`` of ``cache``, which stays as it is."""
    forked = copy.copy(cache)
    forked.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in forked.layers:
        layer.batch_select_indices(rows)
    return forked


def can_fork(config: Any) -> bool:
    """Return whether a model's cache layers replace their tensors instead of changing them."""
    from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

    layers = DynamicCache(config=config).layers
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)
