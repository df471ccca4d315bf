"""Requests collated into batches once, to be run through every candidate.

Batches never cross a block of examples, so that a block's scores don't depend on what else is
scored. Inside a block, requests are sorted by length, longest first.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

Slot = tuple[int, int]
"""(example, which of its requests)."""


@dataclass(frozen=True)
class GenerationRequest:
    """A prompt to continue.

    Args:
        prompt: Token ids, at least one.
        max_new_tokens: Limit of the answer.
        stop: Texts that end it; they are cut off.
        truncated: The prompt was cut on the left to fit.
    """

    prompt: tuple[int, ...]
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    truncated: bool = False


@dataclass(frozen=True)
class ScoringRequest:
    """A continuation to score after ``context``; both hold at least one token."""

    context: tuple[int, ...]
    continuation: tuple[int, ...]


class Batch(Protocol):
    """What a plan needs to know of a batch."""

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Requests that it answers, in the order of its results."""


B = TypeVar("B", bound=Batch)
T = TypeVar("T")


@dataclass(frozen=True)
class GenerationBatch:
    """Prompts of ``b`` requests, padded on the left to ``t`` tokens.

    Args:
        slots: Whose prompt each row is.
        tokens: Shape ``(b, t)``, int64.
        mask: Shape ``(b, t + max_new_tokens)``, int64, 0 at padding; None where no row is padded.
        positions: Shape ``(b, t)``, int64; None where no row is padded.
        truncated: Which prompts were cut.
    """

    slots: tuple[Slot, ...]
    tokens: Tensor
    mask: Tensor | None
    positions: Tensor | None
    max_new_tokens: int
    stop: tuple[str, ...]
    truncated: tuple[bool, ...]

    @property
    def n_rows(self) -> int:
        """Most rows that go through the model at once."""
        return len(self.tokens)


@dataclass(frozen=True)
class ScoringBatch:
    """Sequences of ``b`` requests or more, padded on the right to ``t`` tokens.

    Requests that differ only in their last token share a row. ``m`` tokens are scored.

    Args:
        slots: Whose tokens each segment holds.
        tokens: Model input, shape ``(b, t)``, int64.
        keep: Positions whose logits any row needs, shape ``(k,)``; None for all.
        row, column: Where each scored token's logits are, shape ``(m,)``; columns index ``keep``.
        target: The scored tokens, shape ``(m,)``.
        starts: First of the ``m`` tokens of each request.
    """

    slots: tuple[Slot, ...]
    tokens: Tensor
    keep: Tensor | None
    row: Tensor
    column: Tensor
    target: Tensor
    starts: tuple[int, ...]

    @property
    def n_rows(self) -> int:
        """Most rows that go through the model at once."""
        return len(self.tokens)


@dataclass(frozen=True)
class Plan(Generic[B]):
    """All batches of one split of a task.

    Args:
        batches: In order of blocks.
        batches_of: Example → indices of the batches that hold its requests.
        n_slots: Example → number of its requests.
    """

    batches: tuple[B, ...]
    batches_of: tuple[tuple[int, ...], ...]
    n_slots: tuple[int, ...]

    def run(self, indices: Sequence[int], step: Callable[[B], Sequence[T]]) -> list[list[T]]:
        """Run the batches that hold ``indices`` and return their results, a list an example.

        Whole batches run, whatever part of them is asked for, so that results never depend on it.
        """
        found: dict[Slot, T] = {}
        for number in sorted({b for index in indices for b in self.batches_of[index]}):
            batch = self.batches[number]
            found.update(zip(batch.slots, step(batch), strict=True))
        return [[found[index, slot] for slot in range(self.n_slots[index])] for index in indices]


def make_plan(batches: Iterable[B], n_slots: Sequence[int]) -> Plan[B]:
    """Index ``batches`` by example."""
    made = tuple(batches)
    batches_of: list[set[int]] = [set() for _ in n_slots]
    for number, batch in enumerate(made):
        for example, _ in batch.slots:
            batches_of[example].add(number)
    return Plan(made, tuple(tuple(sorted(numbers)) for numbers in batches_of), tuple(n_slots))


def plan_generation(
    examples: Sequence[Sequence[GenerationRequest]],
    *,
    block_size: int,
    batch_size: int,
    pad_id: int,
    device: torch.device,
) -> Plan[GenerationBatch]:
    """Collate the requests of each example; example ``i`` is in block ``i // block_size``."""
    batches = []
    for first in range(0, len(examples), block_size):
        groups: dict[tuple[int, tuple[str, ...]], list[tuple[Slot, GenerationRequest]]] = {}
        for example, requests in enumerate(examples[first : first + block_size], start=first):
            for slot, request in enumerate(requests):
                group = groups.setdefault((request.max_new_tokens, request.stop), [])
                group.append(((example, slot), request))
        for members in groups.values():
            members.sort(key=lambda member: (-len(member[1].prompt), member[0]))
            batches += [
                _generation_batch(members[start : start + batch_size], pad_id, device)
                for start in range(0, len(members), batch_size)
            ]
    return make_plan(batches, [len(requests) for requests in examples])


def _generation_batch(
    members: Sequence[tuple[Slot, GenerationRequest]], pad_id: int, device: torch.device
) -> GenerationBatch:
    requests = [request for _, request in members]
    tokens, mask, positions = left_pad([request.prompt for request in requests], pad_id, device)
    if mask is not None:
        answers = mask.new_ones((len(requests), requests[0].max_new_tokens))
        mask = torch.cat([mask, answers], dim=1)
    return GenerationBatch(
        slots=tuple(slot for slot, _ in members),
        tokens=tokens,
        mask=mask,
        positions=positions,
        max_new_tokens=requests[0].max_new_tokens,
        stop=requests[0].stop,
        truncated=tuple(request.truncated for request in requests),
    )


def left_pad(
    prompts: Sequence[tuple[int, ...]], pad_id: int, device: torch.device
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return tokens, mask and positions of ``b`` prompts, each of shape ``(b, t)``, int64.

    Mask and positions are None where no row is padded.
    """
    width = max(map(len, prompts))
    tokens = torch.full((len(prompts), width), pad_id, dtype=torch.int64)
    mask = torch.zeros((len(prompts), width), dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        tokens[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    if bool(mask.all()):
        return tokens.to(device), None, None
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    return tokens.to(device), mask.to(device), positions.to(device)


Row = tuple[tuple[int, ...], list[tuple[Slot, ScoringRequest]]]
"""Model input, and the requests that are read off it."""


def within_budget(rows: Sequence[Row], batch_size: int, max_logits: int) -> Iterable[Sequence[Row]]:
    """Cut ``rows`` into batches of at most ``batch_size`` rows and ``max_logits`` positions."""
    start = 0
    while start < len(rows):
        n = max(1, min(batch_size, max_logits // len(rows[start][0])))
        yield rows[start : start + n]
        start += n


def scoring_batch(rows: Sequence[Row], device: torch.device) -> ScoringBatch:
    """Collate whole sequences, one a row."""
    width = max(len(inputs) for inputs, _ in rows)
    # HFLM pads with 0 as well; under a causal mask the value can't reach a scored position.
    tokens = torch.zeros((len(rows), width), dtype=torch.int64)
    slots: list[Slot] = []
    starts: list[int] = []
    row_of: list[int] = []
    position: list[int] = []
    target: list[int] = []
    for row, (inputs, members) in enumerate(rows):
        tokens[row, : len(inputs)] = torch.tensor(inputs)
        for slot, request in members:
            n = len(request.continuation)
            slots.append(slot)
            starts.append(len(target))
            row_of += [row] * n
            position += range(len(inputs) - n, len(inputs))
            target += request.continuation
    keep = sorted(set(position))
    column_of = {value: index for index, value in enumerate(keep)}
    partial = len(keep) < width
    columns = [column_of[value] for value in position] if partial else position
    return ScoringBatch(
        slots=tuple(slots),
        tokens=tokens.to(device),
        keep=torch.tensor(keep, device=device) if partial else None,
        row=torch.tensor(row_of, device=device),
        column=torch.tensor(columns, device=device),
        target=torch.tensor(target, device=device),
        starts=tuple(starts),
    )
