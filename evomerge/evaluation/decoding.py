"""Decoding of one batch: our own loop over the model's forward with its KV cache.

``generate`` of transformers costs more than the forward passes of a small model; this loop reads
the chosen tokens once a step and does the rest in plain Python.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from evomerge.errors import NotFiniteError
from evomerge.evaluation.batches import GenerationBatch


@dataclass(frozen=True)
class Generated:
    """Answer to one request.

    Args:
        text: Decoded without special tokens, cut before the first stop text.
        n_tokens: Tokens generated, the end token not counted.
        capped: The token limit ended it.
        truncated: Its prompt had been cut on the left.
    """

    text: str
    n_tokens: int
    capped: bool
    truncated: bool


class StopTexts:
    """Finds stop texts in growing answers without decoding every step.

    An answer can only have come to contain a stop text when its newest token holds that text's last
    character, or a piece of a character; only then it is decoded.

    Args:
        stop: Texts that end an answer.
        decode: Token ids → text without special tokens.
    """

    def __init__(self, stop: Sequence[str], decode: Callable[[list[int]], str]) -> None:
        self.stop = tuple(text for text in stop if text)
        self._decode = decode
        self._last = {text[-1] for text in self.stop} | {"\ufffd"}
        # Sentencepiece drops a lone token's leading space, so a stop text ending in one may hide.
        self._always = " " in self._last
        self._may_end: dict[int, bool] = {}

    def found(self, tokens: list[int]) -> bool:
        """Return whether the answer ``tokens`` contains a stop text; called after each token."""
        if not self.stop:
            return False
        newest = tokens[-1]
        may_end = self._may_end.get(newest)
        if may_end is None:
            may_end = self._always or not self._last.isdisjoint(self._decode([newest]))
            self._may_end[newest] = may_end
        if not may_end:
            return False
        text = self._decode(tokens)
        return any(stop in text for stop in self.stop)

    def cut(self, text: str) -> str:
        """Return ``text`` before the stop texts, taken in order as lm-eval does."""
        for stop in self.stop:
            text = text.split(stop)[0]
        return text


@dataclass
class _Answers:
    """Tokens of each row so far, and which rows go on."""

    tokens: list[list[int]]
    open: list[int]
    ended: set[int] = field(default_factory=set)

    def take(self, chosen: list[int], eos_ids: frozenset[int], stops: StopTexts) -> None:
        """Append one token a row; close the rows that met an end token or a stop text."""
        still_open = []
        for row in self.open:
            token = chosen[row]
            if token in eos_ids:
                self.ended.add(row)
                continue
            self.tokens[row].append(token)
            if stops.found(self.tokens[row]):
                self.ended.add(row)
            else:
                still_open.append(row)
        self.open = still_open


def decode_batch(
    forward: Callable[..., Any],
    batch: GenerationBatch,
    *,
    eos_ids: frozenset[int],
    stops: StopTexts,
    decode: Callable[[list[int]], str],
    choose: Callable[[Tensor], Tensor] | None = None,
) -> list[Generated]:
    """Continue each row of ``batch`` until it ends or reaches the limit.

    Rows that have ended stay in the batch until the last one has.

    Args:
        forward: Model call with ``input_ids``, ``attention_mask``, ``position_ids`` and
            ``past_key_values``; returns logits of shape ``(b, 1, v)`` and the cache.
        batch: Prompts.
        eos_ids: Tokens that end an answer.
        stops: Stop texts of this batch.
        decode: Token ids → text without special tokens.
        choose: Logits of shape ``(b, v)`` → the next token of each row, shape ``(b,)``; None takes
            the likeliest.

    Raises:
        NotFiniteError: The logits hold NaN or infinity.
    """
    n_rows, width = batch.tokens.shape
    answers = _Answers([[] for _ in range(n_rows)], list(range(n_rows)))
    tokens, mask, positions = batch.tokens, batch.mask, batch.positions
    cache = None
    best: Tensor | None = None
    for step in range(batch.max_new_tokens):
        output = forward(
            input_ids=tokens,
            attention_mask=None if mask is None else mask[:, : width + step],
            position_ids=positions,
            past_key_values=cache,
        )
        cache = output.past_key_values
        logits = output.logits[:, -1]
        best, chosen = logits.max(dim=-1)
        if choose is not None:
            chosen = choose(logits)
        answers.take(chosen.tolist(), eos_ids, stops)
        if not answers.open:
            break
        tokens = chosen[:, None]
        positions = None if positions is None else positions[:, -1:] + 1
    # A NaN stays in its row's cache, so the last step shows those of all steps.
    if best is not None and not bool(torch.isfinite(best).all()):
        raise NotFiniteError("the model gave logits that are not finite (NaN or infinity).")
    return [
        Generated(
            stops.cut(decode(row_tokens)),
            len(row_tokens),
            capped=row not in answers.ended,
            truncated=truncated,
        )
        for row, (row_tokens, truncated) in enumerate(
            zip(answers.tokens, batch.truncated, strict=True)
        )
    ]
