"""How far a model has moved from a reference model on general texts: a plug-in.

    evomerge run CONFIG --plugin evaluators/forgetting.py

    evaluators:
      memory:
        type: forgetting
        data: general.jsonl          # {"text": …}: what the merged model should not forget
        reference_model: models/base

At each token of a text the reference's distribution p is compared with the model's q by
KL(p || q), which punishes losing what the reference expects; the text's mean in nats is ``kl``, and
``kept = exp(-kl / 0.5)`` lies between 0 and 1. Only the reference's 64 likeliest tokens are kept,
all others are one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evomerge.errors import EvaluationError
from evomerge.evaluation.base import (
    BATCH_SIZE,
    BLOCK_SIZE,
    DATA,
    SPLIT_SIZES,
    STRATIFY,
    Item,
    SplitTask,
    fill_settings,
)
from evomerge.evaluation.data import content_hash, read_table
from evomerge.evaluation.protocol import ExampleRecord, Metric, evaluator
from evomerge.recipes.declarations import Parameter

if TYPE_CHECKING:
    from torch import Tensor

    from evomerge.evaluation.language_model import LanguageModel

SCALE = 0.5
"""Nats at which ``kept`` has fallen to 1/e."""

WORST = 0.05
"""Of ``kept``: a model that has forgotten so much counts as useless."""

LIKELIEST = 64
"""Tokens of the reference's distribution that are kept one by one."""

PARAMETERS = (
    DATA,
    Parameter("text_key", "str", "Key of the text.", default="text"),
    Parameter("reference_model", "str", "Folder of the reference model.", required=True),
    BLOCK_SIZE,
    BATCH_SIZE,
    SPLIT_SIZES,
    STRATIFY,
)


@dataclass(frozen=True)
class Expected:
    """What the reference expects at the ``t`` tokens of a window.

    Args:
        tokens: Its ``k`` likeliest next tokens, shape ``(t, k)``, int64.
        logprobs: Their log-probabilities, shape ``(t, k)``, float32.
    """

    tokens: "Tensor"
    logprobs: "Tensor"


@evaluator("forgetting", parameters=PARAMETERS)
class ForgettingEvaluator(SplitTask):
    """Divergence from a reference model's predictions, KL(reference || model), text by text.

    Args:
        name: The evaluator's name in the run file.
        seed: The run's seed.
        options: Values of ``PARAMETERS``.

    Raises:
        EvaluationError: Data or settings don't fit.
    """

    metrics = (
        Metric("kept", range="unit", reference=WORST),
        Metric("kl", direction="minimize", reference=-SCALE * math.log(WORST), ideal=0.0),
    )
    primary = "kept"

    def __init__(self, name: str, *, seed: int, **options: Any) -> None:
        from evomerge.models.lock import lock_folder

        settings = fill_settings("forgetting", PARAMETERS, name, options)
        table = read_table(settings["data"])
        key = settings["text_key"]
        items = [Item(table.text(index, key), "") for index in range(len(table.records))]
        if empty := [index for index, item in enumerate(items) if not item.prompt]:
            raise EvaluationError(
                f"{table.path}:{table.lines[empty[0]]}: {key!r} is empty; expected some text."
            )
        self._folder = Path(settings.pop("reference_model"))
        super().__init__(
            name,
            items,
            settings=settings,
            seed=seed,
            version="forgetting/1",
            data_sha256=content_hash([table.sha256, lock_folder(self._folder).sha256]),
            strata=table.strata(settings["stratify_key"]),
        )
        self._expected: dict[str, list[list[Expected]]] = {}

    def prepare(self, model: "LanguageModel", split: str) -> Any:
        """Tokenise the texts, and ask the reference where this is the first time."""
        requests = [model.encoder.windows(item.prompt) for item in self.items(split)]
        plan = model.plan_scoring(
            requests, block_size=self.block_size, batch_size=self.settings["batch_size"]
        )
        if split not in self._expected:
            self._expected[split] = self._ask_reference(model, plan, len(requests))
        return plan, self._expected[split]

    def score(
        self, model: "LanguageModel", requests: Any, indices: Sequence[int]
    ) -> list[ExampleRecord]:
        """Compare the model with the reference on the texts ``indices``."""
        plan, expected = requests
        records = []
        for index, found in zip(indices, model.distributions(plan, indices), strict=True):
            pairs = list(zip(expected[index], found, strict=True))
            divergences = [divergence(before, now) for before, now in pairs]
            n_tokens = sum(len(item) for item in divergences)
            kl = float(sum(item.double().sum() for item in divergences)) / n_tokens
            metrics = {"kept": math.exp(-kl / SCALE), "kl": kl}
            records.append(ExampleRecord(metrics, tokens=n_tokens))
        return records

    def _ask_reference(
        self, model: "LanguageModel", plan: Any, n_examples: int
    ) -> list[list[Expected]]:
        from evomerge.evaluation.language_model import LanguageModel

        reference = LanguageModel.load(self._folder, device=str(model.device))
        if reference.tokenizer.get_vocab() != model.tokenizer.get_vocab():
            raise EvaluationError(
                f"evaluator {self.name!r}: the tokenizer of reference_model {self._folder} isn't "
                "the candidates'. Take a reference of the same vocabulary."
            )
        # One text at a time, so that no more than one text's whole distributions are held.
        found = []
        for index in range(n_examples):
            (windows,) = reference.distributions(plan, [index])
            found.append([_likeliest(window) for window in windows])
        return found


def divergence(before: Expected, now: "Tensor") -> "Tensor":
    """Return KL(p || q) at each token, shape ``(t,)``, float32, in nats, never below 0.

    Args:
        before: The reference's p.
        now: The model's log q, shape ``(t, v)``.
    """
    kept = now.gather(1, before.tokens)
    listed = (before.logprobs.exp() * (before.logprobs - kept)).sum(dim=1)
    rest_p, rest_q = _rest(before.logprobs), _rest(kept)
    return (listed + rest_p * (rest_p.log() - rest_q.log())).clamp_min(0.0)


def _likeliest(logprobs: "Tensor") -> Expected:
    values, tokens = logprobs.topk(min(LIKELIEST, logprobs.shape[1]), dim=1)
    return Expected(tokens, values)


def _rest(logprobs: "Tensor") -> "Tensor":
    """Return the probability of all tokens that aren't listed, shape ``(t,)``, above 0."""
    return (1.0 - logprobs.exp().sum(dim=1)).clamp_min(1e-6)
