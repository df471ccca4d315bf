"""How probable a given continuation of a prompt is to the model."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

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
from evomerge.evaluation.data import Table, content_hash, read_table
from evomerge.evaluation.prompting import (
    PROMPT_PARAMETERS,
    TEMPLATE,
    PromptFormat,
    render_template,
)
from evomerge.evaluation.protocol import ExampleRecord, Metric, evaluator
from evomerge.recipes.declarations import Parameter

if TYPE_CHECKING:
    from evomerge.evaluation.language_model import LanguageModel

PARAMETERS = (
    DATA,
    Parameter("prompt_key", "str", "Key of the prompt; it may be empty.", default="prompt"),
    Parameter("answer_key", "str", "Key of the continuation that is scored.", default="answer"),
    TEMPLATE,
    *PROMPT_PARAMETERS,
    BLOCK_SIZE,
    BATCH_SIZE,
    SPLIT_SIZES,
    STRATIFY,
)


@evaluator("log_likelihood", parameters=PARAMETERS)
class LogLikelihoodEvaluator(SplitTask):
    """Mean log-probability per token of given continuations, a smooth score for small models.

    ``probability`` is its exponential, averaged over examples; ``greedy`` tells whether the
    continuation is what greedy decoding would write; ``perplexity`` is taken over all tokens of all
    examples.

    Args:
        name: The evaluator's name in the run file.
        seed: The run's seed.
        options: Values of ``PARAMETERS``.

    Raises:
        EvaluationError: Data or settings don't fit.
    """

    metrics = (
        Metric("logprob", range="log", ideal=0.0),
        Metric("probability", range="unit"),
        Metric("greedy", binary=True),
        Metric("perplexity", direction="minimize", width=2, range="log", ideal=1.0),
    )
    primary = "logprob"

    def __init__(self, name: str, *, seed: int, **options: Any) -> None:
        settings = fill_settings("log_likelihood", PARAMETERS, name, options)
        table = read_table(settings["data"])
        shots = None if settings["fewshot_data"] is None else read_table(settings["fewshot_data"])
        items = _items(table, settings)
        super().__init__(
            name,
            items,
            settings=settings,
            seed=seed,
            version="log_likelihood/1",
            data_sha256=content_hash([table.sha256, shots.sha256 if shots else ""]),
            strata=table.strata(settings["stratify_key"]),
        )
        pool = _items(shots, settings) if shots else [items[index] for index in self.rest]
        self._format = PromptFormat(settings, pool, seed=seed, name=name)

    def prepare(self, model: "LanguageModel", split: str) -> Any:
        """Build, tokenise and collate prompt and continuation."""
        encoder = model.encoder
        requests = [
            [encoder.encode_pair(self._format.render(item, encoder), item.expected)]
            for item in self.items(split)
        ]
        return model.plan_scoring(
            requests, block_size=self.block_size, batch_size=self.settings["batch_size"]
        )

    def score(
        self, model: "LanguageModel", requests: Any, indices: Sequence[int]
    ) -> list[ExampleRecord]:
        """Score the continuations of the examples ``indices``."""
        records = []
        for (scored,) in model.logprobs(requests, indices):
            mean = scored.logprob / scored.n_tokens
            metrics: dict[str, float | tuple[float, ...]] = {
                "logprob": mean,
                "probability": math.exp(mean),
                "greedy": float(scored.is_greedy),
                "perplexity": (scored.logprob, float(scored.n_tokens)),
            }
            records.append(ExampleRecord(metrics, tokens=scored.n_tokens))
        return records

    def aggregate(self, metric: str, values: NDArray[np.float64]) -> float:
        """Return the mean, or the perplexity over all tokens."""
        if metric == "perplexity":
            logprob, n_tokens = values.sum(axis=0)
            return float(np.exp(-logprob / n_tokens))
        return super().aggregate(metric, values)


def _items(table: Table, settings: dict[str, Any]) -> list[Item]:
    items = []
    for index in range(len(table.records)):
        template = settings["template"]
        prompt = (
            table.text(index, settings["prompt_key"])
            if template is None
            else render_template(template, table, index)
        )
        answer = table.text(index, settings["answer_key"])
        items.append(Item(prompt, answer, identity=prompt or answer))
    return items
