"""A resident causal language model with its tokenizer, and the batched calls that evaluators make.

Built once a worker: the weights change underneath, while batches, tokens and stop-text tables stay.
"""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from evomerge.evaluation import batches
from evomerge.evaluation.batches import (
    GenerationBatch,
    GenerationRequest,
    Plan,
    ScoringBatch,
    ScoringRequest,
)
from evomerge.evaluation.decoding import Generated, StopTexts, decode_batch
from evomerge.evaluation.encoding import TextEncoder, find_max_length
from evomerge.evaluation.scoring import Scored, score_batch, score_shared
from evomerge.evaluation.scoring_plan import plan_scoring
from evomerge.evaluation.shared_context import SharedBatch, can_fork

if TYPE_CHECKING:
    from evomerge.merging.prefixes import PrefixCache
    from evomerge.models.checkpoint import Checkpoint

Choose = Callable[[Tensor], Tensor]
"""Logits of shape ``(b, v)`` → tokens of shape ``(b,)``."""

MAX_LOGIT_ELEMENTS = 2**28
"""Logits that a scoring batch may hold at once: 1 GiB in float32."""


class LanguageModel:
    """A causal language model on one device.

    Args:
        model: A ``transformers`` causal language model, already on ``device``.
        tokenizer: Its tokenizer; never changed.
        device: Where batches are put.

    Attributes:
        encoder: Makes requests from texts.
        eos_ids: Tokens that end an answer.
        batch_limit: Most rows of the batches that are planned from now on, whatever an evaluator
            asks for; None for no limit.
        rows_in_hand: Rows of the batch that was run last: what was too much, if memory ran out.
        prefixes: Shares activations between routed models; None where ``model`` is no route.
    """

    def __init__(self, model: Any, tokenizer: Any, device: str | torch.device = "cpu") -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.device = torch.device(device)
        arguments = inspect.signature(model.forward).parameters
        self._optional = {
            name: name in arguments for name in ("logits_to_keep", "position_ids", "use_cache")
        }
        self.encoder = TextEncoder(tokenizer, find_max_length(model.config, tokenizer))
        self.eos_ids = _eos_ids(model, tokenizer)
        self.pad_id = _pad_id(tokenizer, self.eos_ids)
        self._shares = self._optional["position_ids"] and can_fork(model.config)
        self._stops: dict[tuple[str, ...], StopTexts] = {}
        self.batch_limit: int | None = None
        self.rows_in_hand = 0
        self.prefixes: PrefixCache | None = None
        self._reading: tuple[object, int] = (None, 0)  # batch, passes over it so far

    @classmethod
    def load(
        cls,
        folder: Path,
        tokenizer_folder: Path | None = None,
        dtype: str | None = None,
        device: str = "cpu",
        *,
        trust_remote_code: bool = False,
        spread: bool = False,
    ) -> "LanguageModel":
        """Load a checkpoint folder.

        Args:
            folder: Hugging Face folder.
            tokenizer_folder: Where the tokenizer is; ``folder`` if None.
            dtype: ``float32``, ``bfloat16`` …; the checkpoint's own if None.
            device: ``cpu``, ``cuda``, ``cuda:1`` …; ``auto`` takes a GPU if there is one.
            trust_remote_code: Run code that the folder brings.
            spread: Lay the layers on all visible GPUs; ``device`` isn't looked at.

        Raises:
            ModelError: The folder is no usable checkpoint.
        """
        from transformers import AutoTokenizer

        from evomerge.models.resident import load_resident

        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        place = None if spread else device
        model: Any = load_resident(
            folder, dtype=dtype, device=place, trust_remote_code=trust_remote_code
        )
        tokenizer = AutoTokenizer.from_pretrained(
            str(tokenizer_folder or folder),
            trust_remote_code=trust_remote_code,
            local_files_only=True,
        )
        if not spread:
            return cls(model, tokenizer, device)
        loaded = cls(model, tokenizer, model.get_input_embeddings().weight.device)
        loaded._shares = False  # a shared context's cache would have to be cut on every device
        return loaded

    def parameters(self, checkpoint: "Checkpoint") -> dict[str, Tensor]:
        """Return checkpoint tensor name → live tensor of the model, which a merge writes into."""
        from evomerge.models.resident import parameters_by_name

        return parameters_by_name(self.model, checkpoint)

    def plan_generation(
        self,
        examples: Sequence[Sequence[GenerationRequest]],
        *,
        block_size: int,
        batch_size: int,
    ) -> Plan[GenerationBatch]:
        """Collate the requests of each example, padded on the left, block by block."""
        return batches.plan_generation(
            examples,
            block_size=block_size,
            batch_size=self._limited(batch_size),
            pad_id=self.pad_id,
            device=self.device,
        )

    def plan_scoring(
        self,
        examples: Sequence[Sequence[ScoringRequest]],
        *,
        block_size: int,
        batch_size: int,
    ) -> Plan[ScoringBatch | SharedBatch]:
        """Collate the requests of each example, block by block; shared contexts are read once."""
        vocabulary = int(self.model.get_output_embeddings().weight.shape[0])
        return plan_scoring(
            examples,
            block_size=block_size,
            batch_size=self._limited(batch_size),
            max_logits=max(1, MAX_LOGIT_ELEMENTS // vocabulary),
            pad_id=self.pad_id,
            share_contexts=self._shares,
            device=self.device,
        )

    def _limited(self, batch_size: int) -> int:
        return batch_size if self.batch_limit is None else min(batch_size, self.batch_limit)

    @torch.inference_mode()
    def generate(
        self,
        plan: Plan[GenerationBatch],
        indices: Sequence[int],
        *,
        choose: Choose | None = None,
    ) -> list[list[Generated]]:
        """Answer the requests of the examples ``indices``.

        Args:
            plan: From ``plan_generation``.
            indices: Examples.
            choose: Takes the next token of each row; None takes the likeliest.

        Raises:
            NotFiniteError: The logits hold NaN or infinity.
        """
        return plan.run(indices, lambda batch: self._generate_batch(batch, choose))

    @torch.inference_mode()
    def logprobs(
        self,
        plan: Plan[ScoringBatch | SharedBatch],
        indices: Sequence[int],
        *,
        softmax_dtype: torch.dtype | None = torch.float32,
    ) -> list[list[Scored]]:
        """Score the requests of the examples ``indices``.

        Args:
            plan: From ``plan_scoring``.
            indices: Examples.
            softmax_dtype: Precision of the log-softmax; None takes the model's, as lm-eval does.

        Raises:
            NotFiniteError: A log-likelihood is NaN or infinite.
        """
        return plan.run(indices, lambda batch: self._score_batch(batch, softmax_dtype))

    def rolling(
        self, plan: Plan[ScoringBatch | SharedBatch], indices: Sequence[int]
    ) -> list[Scored]:
        """Score whole texts whose ``windows`` are the requests of ``plan``: one sum an example."""
        return [
            Scored(
                sum(window.logprob for window in scored),
                all(window.is_greedy for window in scored),
                sum(window.n_tokens for window in scored),
            )
            for scored in self.logprobs(plan, indices)
        ]

    @torch.inference_mode()
    def distributions(
        self, plan: Plan[ScoringBatch | SharedBatch], indices: Sequence[int]
    ) -> list[list[Tensor]]:
        """Return what the model expects at each scored token of the examples ``indices``.

        Returns:
            For each request of an example, log-probabilities of shape ``(t, v)``, float32.
        """

        def run(batch: ScoringBatch | SharedBatch) -> list[Tensor]:
            assert isinstance(batch, ScoringBatch), "windows of a text share no context"
            self._begin(batch)
            logits = self._forward_once(input_ids=batch.tokens, logits_to_keep=batch.keep)
            wanted = logits[batch.row, batch.column].log_softmax(dim=-1, dtype=torch.float32)
            return list(wanted.tensor_split(list(batch.starts[1:])))

        return plan.run(indices, run)

    def _generate_batch(self, batch: GenerationBatch, choose: Choose | None) -> list[Generated]:
        self._begin(batch)
        stops = self._stops.get(batch.stop)
        if stops is None:
            stops = self._stops[batch.stop] = StopTexts(batch.stop, self._decode)
        return decode_batch(
            self._forward_cached,
            batch,
            eos_ids=self.eos_ids,
            stops=stops,
            decode=self._decode,
            choose=choose,
        )

    def _decode(self, tokens: list[int]) -> str:
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def _forward_cached(self, **inputs: Any) -> Any:
        if not self._optional["position_ids"]:
            del inputs["position_ids"]
        if self._optional["logits_to_keep"]:
            inputs["logits_to_keep"] = 1
        if inputs["past_key_values"] is not None:  # answers differ from model to model
            return self.model(**inputs, use_cache=True)
        return self._run(keeps_cache=True, **inputs, use_cache=True)

    def _begin(self, batch: GenerationBatch | ScoringBatch | SharedBatch) -> None:
        self.rows_in_hand = batch.n_rows
        self._reading = (batch, 0)

    def _run(self, *args: Any, keeps_cache: bool = False, **inputs: Any) -> Any:
        """Run the model over tokens of the batch, which are the same for every model."""
        if self.prefixes is None:
            return self.model(*args, **inputs)
        batch, number = self._reading
        self._reading = (batch, number + 1)
        with self.prefixes.reading(batch, number, keeps_cache=keeps_cache):
            return self.model(*args, **inputs)

    def _score_batch(
        self, batch: ScoringBatch | SharedBatch, softmax_dtype: torch.dtype | None
    ) -> list[Scored]:
        self._begin(batch)
        if isinstance(batch, SharedBatch):
            return score_shared(self._forward_cached, self._forward_later, batch, softmax_dtype)
        return score_batch(self._forward_once, batch, softmax_dtype)

    def _forward_once(self, *, input_ids: Tensor, logits_to_keep: Tensor | None) -> Tensor:
        """Return logits of shape ``(b, k, v)``, all positions where ``logits_to_keep`` is None."""
        inputs: dict[str, Any] = {"use_cache": False} if self._optional["use_cache"] else {}
        if logits_to_keep is None:
            logits: Tensor = self._run(input_ids, **inputs).logits
        elif self._optional["logits_to_keep"]:
            logits = self._run(input_ids, **inputs, logits_to_keep=logits_to_keep).logits
        else:
            logits = self._run(input_ids, **inputs).logits[:, logits_to_keep]
        return logits

    def _forward_later(self, **inputs: Any) -> Tensor:
        """Return all logits of tokens that follow a cache."""
        logits: Tensor = self._run(**inputs, use_cache=True).logits
        return logits


def _eos_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return all tokens that end an answer."""
    found: set[int] = set()
    generation = getattr(model, "generation_config", None)
    for value in (getattr(generation, "eos_token_id", None), tokenizer.eos_token_id):
        if isinstance(value, int):
            found.add(value)
        elif value is not None:
            found.update(int(token) for token in value)
    return frozenset(found)


def _pad_id(tokenizer: Any, eos_ids: frozenset[int]) -> int:
    """Return a token for padding; it is masked, so which one it is can't be seen in results."""
    for value in (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.eos_token_id):
        if value is not None:
            return int(value)
    return min(eos_ids, default=0)
