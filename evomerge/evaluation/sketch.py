"""What evaluators put through a model at once, found without its weights.

A model on torch's meta device has shapes and no memory. Evaluators prepare their requests for it
as for any other, and the batches that they plan tell how large each forward pass will be.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from evomerge.errors import ModelError
from evomerge.evaluation.batches import GenerationBatch, Plan, ScoringBatch
from evomerge.evaluation.language_model import LanguageModel
from evomerge.evaluation.protocol import Evaluator
from evomerge.evaluation.shared_context import SharedBatch


@dataclass(frozen=True)
class Pass:
    """One forward pass, by what it holds in memory at its worst moment.

    Args:
        rows: Sequences.
        tokens: Positions that go through the layers, over all rows.
        cached: Positions whose keys and values are kept, over all rows.
        logits: Positions whose logits are made, over all rows.
        scored: Positions whose log-softmax is taken.
        mask: Elements of the attention mask; 0 where no row is padded.
    """

    rows: int
    tokens: int
    cached: int = 0
    logits: int = 0
    scored: int = 0
    mask: int = 0


@dataclass(frozen=True)
class Sketch:
    """All that one evaluator puts through a model.

    Args:
        passes: Each distinct pass once.
        n_tokens: Token ids of all its batches, which stay in memory.
    """

    passes: tuple[Pass, ...]
    n_tokens: int


class SketchModel(LanguageModel):
    """A model without weights that notes the batches planned for it.

    Args:
        folder: Where the configuration is.
        tokenizer_folder: Where the tokenizer is.
        trust_remote_code: Run code that the folder brings.

    Raises:
        ModelError: transformers can't build it.
    """

    def __init__(
        self, folder: Path, tokenizer_folder: Path, *, trust_remote_code: bool = False
    ) -> None:
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

        options: Any = {"trust_remote_code": trust_remote_code}
        loader: Any = AutoModelForCausalLM
        try:
            config = AutoConfig.from_pretrained(str(folder), local_files_only=True, **options)
            with torch.device("meta"):
                model = loader.from_config(config, **options)
            tokenizer = AutoTokenizer.from_pretrained(
                str(tokenizer_folder), local_files_only=True, **options
            )
        except (OSError, ValueError, RuntimeError, KeyError, ImportError, AttributeError) as error:
            raise ModelError(f"{folder} can't be built by transformers: {error}.") from error
        super().__init__(model, tokenizer, "meta")
        self._plans: list[Plan[Any]] = []

    def plan_generation(self, *args: Any, **sizes: Any) -> Plan[GenerationBatch]:
        """Plan, and note the plan."""
        plan = super().plan_generation(*args, **sizes)
        self._plans.append(plan)
        return plan

    def plan_scoring(self, *args: Any, **sizes: Any) -> Plan[ScoringBatch | SharedBatch]:
        """Plan, and note the plan."""
        plan = super().plan_scoring(*args, **sizes)
        self._plans.append(plan)
        return plan

    def sketch(self, evaluator: Evaluator, splits: Sequence[str]) -> Sketch:
        """Return what ``evaluator`` puts through the model for the examples of ``splits``.

        Raises:
            EvomergeError: The evaluator can't prepare them.
        """
        self._plans.clear()
        for split in splits:
            evaluator.prepare(self, split)
        batches = [batch for plan in self._plans for batch in plan.batches]
        passes = dict.fromkeys(item for batch in batches for item in _passes(batch))
        return Sketch(tuple(passes), sum(batch.tokens.numel() for batch in batches))


def _passes(batch: GenerationBatch | ScoringBatch | SharedBatch) -> list[Pass]:
    """The forward passes of one batch; of a generation the longest."""
    rows, width = batch.tokens.shape
    tokens = rows * width
    if isinstance(batch, ScoringBatch):
        kept = width if batch.keep is None else len(batch.keep)
        return [Pass(rows, tokens, logits=rows * kept, scored=len(batch.target))]
    mask = 0 if batch.mask is None else tokens * width
    if isinstance(batch, GenerationBatch):
        cached = rows * (width + batch.max_new_tokens)
        return [Pass(rows, tokens, cached=cached, logits=rows, mask=mask)]
    found = [Pass(rows, tokens, cached=tokens, logits=rows, scored=len(batch.target), mask=mask)]
    for rest in batch.rest:
        n, later = rest.tokens.shape
        found.append(
            Pass(
                rows=max(rows, n),
                tokens=n * later,
                cached=tokens + n * (width + later),
                logits=n * later,
                scored=len(rest.target),
                mask=0 if rest.mask is None else n * later * (width + later),
            )
        )
    return found
