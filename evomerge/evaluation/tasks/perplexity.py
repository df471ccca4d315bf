"""How well the model predicts whole texts."""

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

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
from evomerge.evaluation.data import Table, read_table
from evomerge.evaluation.protocol import ExampleRecord, Metric, evaluator
from evomerge.recipes.declarations import Parameter

if TYPE_CHECKING:
    from evomerge.evaluation.language_model import LanguageModel

PARAMETERS = (
    DATA,
    Parameter("text_key", "str", "Key of the text.", default="text"),
    BLOCK_SIZE,
    BATCH_SIZE,
    SPLIT_SIZES,
    STRATIFY,
)


@evaluator("perplexity", parameters=PARAMETERS)
class PerplexityEvaluator(SplitTask):
    """Rolling log-likelihood of texts as bits per byte, and perplexity per word and per byte.

    Each example keeps its log-likelihood and its length, so that the aggregate over any set of
    examples is exact. Bits per byte compare across tokenizers.

    Args:
        name: The evaluator's name in the run file.
        seed: The run's seed.
        options: Values of ``PARAMETERS``.

    Raises:
        EvaluationError: Data or settings don't fit.
    """

    metrics = (
        Metric("bits_per_byte", direction="minimize", width=2, range="log", ideal=0.0),
        Metric("byte_perplexity", direction="minimize", width=2, range="log", ideal=1.0),
        Metric("word_perplexity", direction="minimize", width=2, range="log", ideal=1.0),
    )
    primary = "bits_per_byte"

    def __init__(self, name: str, *, seed: int, **options: Any) -> None:
        settings = fill_settings("perplexity", PARAMETERS, name, options)
        table = read_table(settings["data"])
        super().__init__(
            name,
            _items(table, settings["text_key"]),
            settings=settings,
            seed=seed,
            version="perplexity/1",
            data_sha256=table.sha256,
            strata=table.strata(settings["stratify_key"]),
        )

    def prepare(self, model: "LanguageModel", split: str) -> Any:
        """Cut each text into windows of the model's length, tokenise and collate them."""
        items = self.items(split)
        requests = [model.encoder.windows(item.prompt) for item in items]
        plan = model.plan_scoring(
            requests, block_size=self.block_size, batch_size=self.settings["batch_size"]
        )
        return items, plan

    def score(
        self, model: "LanguageModel", requests: Any, indices: Sequence[int]
    ) -> list[ExampleRecord]:
        """Score the texts ``indices``."""
        items, plan = requests
        records = []
        for index, scored in zip(indices, model.rolling(plan, indices), strict=True):
            text = items[index].prompt
            n_bytes, n_words = len(text.encode("utf-8")), len(re.split(r"\s+", text))
            metrics: dict[str, float | tuple[float, ...]] = {
                "bits_per_byte": (scored.logprob, float(n_bytes)),
                "byte_perplexity": (scored.logprob, float(n_bytes)),
                "word_perplexity": (scored.logprob, float(n_words)),
            }
            records.append(ExampleRecord(metrics, tokens=scored.n_tokens))
        return records

    def aggregate(self, metric: str, values: NDArray[np.float64]) -> float:
        """Return bits per byte, or the perplexity per unit of the metric."""
        logprob, length = values.sum(axis=0)
        if metric == "bits_per_byte":
            return float(-logprob / length / math.log(2))
        return float(np.exp(-logprob / length))


def _items(table: Table, key: str) -> list[Item]:
    items = []
    for index in range(len(table.records)):
        text = table.text(index, key)
        if not text:
            raise EvaluationError(
                f"{table.path}:{table.lines[index]}: {key!r} is empty; expected some text."
            )
        items.append(Item(text, ""))
    return items
