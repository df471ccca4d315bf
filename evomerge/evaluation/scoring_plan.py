"""Scoring requests planned block by block: as whole sequences, or by contexts that they share."""

from collections.abc import Sequence

import torch

from evomerge.evaluation.batches import (
    Plan,
    ScoringBatch,
    ScoringRequest,
    Slot,
    make_plan,
    scoring_batch,
    within_budget,
)
from evomerge.evaluation.shared_context import SharedBatch, shared_batch, sharing_groups


def plan_scoring(
    examples: Sequence[Sequence[ScoringRequest]],
    *,
    block_size: int,
    batch_size: int,
    max_logits: int,
    pad_id: int,
    share_contexts: bool,
    device: torch.device,
) -> Plan[ScoringBatch | SharedBatch]:
    """Collate the requests of each example; example ``i`` is in block ``i // block_size``.

    Args:
        examples: Requests of each example.
        block_size: Examples in a block.
        batch_size: Most rows in a forward pass.
        max_logits: Most rows × positions whose logits a pass may keep; one row is always allowed.
        pad_id: Stands on the left of shorter contexts.
        share_contexts: Read contexts once that several requests have.
        device: Where the batches live.
    """
    batches: list[ScoringBatch | SharedBatch] = []
    for first in range(0, len(examples), block_size):
        requests: list[tuple[Slot, ScoringRequest]] = [
            ((example, slot), request)
            for example, members in enumerate(examples[first : first + block_size], start=first)
            for slot, request in enumerate(members)
        ]
        groups = sharing_groups(requests) if share_contexts else []
        for start in range(0, len(groups), batch_size):
            batches.append(
                shared_batch(
                    groups[start : start + batch_size],
                    batch_size=batch_size,
                    max_logits=max_logits,
                    pad_id=pad_id,
                    device=device,
                )
            )
        shared = {slot for _, members in groups for slot, _ in members}
        rows: dict[tuple[int, ...], list[tuple[Slot, ScoringRequest]]] = {}
        for slot, request in requests:
            if slot not in shared:
                inputs = (request.context + request.continuation)[:-1]
                rows.setdefault(inputs, []).append((slot, request))
        ordered = sorted(rows.items(), key=lambda row: (-len(row[0]), row[0]))
        batches += [
            scoring_batch(part, device) for part in within_budget(ordered, batch_size, max_logits)
        ]
    return make_plan(batches, [len(members) for members in examples])
