"""Evaluators that let the model write an answer and grade it: everything but the grading."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evomerge.evaluation.base import BATCH_SIZE, BLOCK_SIZE, SPLIT_SIZES, Item, SplitTask
from evomerge.evaluation.prompting import PROMPT_PARAMETERS, PromptFormat
from evomerge.evaluation.protocol import ExampleRecord, Metric
from evomerge.recipes.declarations import Parameter

if TYPE_CHECKING:
    from evomerge.evaluation.decoding import Generated
    from evomerge.evaluation.language_model import LanguageModel

TOKENS = Metric("tokens", direction="minimize", ideal=0.0)
"""Tokens that an answer took; one that the limit cut counts in full."""

GENERATION_PARAMETERS = (
    Parameter(
        "max_new_tokens",
        "int",
        "Token limit of an answer; an answer that it cuts counts as wrong.",
        default=64,
        low=1,
    ),
    Parameter(
        "stop", "list", "Texts that end an answer, besides the model's end token.", default=[]
    ),
    *PROMPT_PARAMETERS,
    BLOCK_SIZE,
    BATCH_SIZE,
    SPLIT_SIZES,
)
"""Settings that every generating evaluator has."""


class GenerationTask(SplitTask, ABC):
    """Prompts that are answered greedily and graded one by one.

    A subclass sets ``metrics`` and ``primary`` and defines ``grade``.

    Args:
        name: The evaluator's name in the run file.
        items: All examples.
        settings: Values of ``GENERATION_PARAMETERS`` and more.
        seed: The run's seed.
        version: ``TYPE/NUMBER`` of the scoring code.
        data_sha256: Hash of the data that ``items`` come from.
        strata: One label an item.
        pool: Few-shot examples; those in no split where None.
    """

    metrics: Sequence[Metric]
    primary: str

    def __init__(
        self,
        name: str,
        items: Sequence[Item],
        *,
        settings: Mapping[str, Any],
        seed: int,
        version: str,
        data_sha256: str,
        strata: Sequence[str] | None = None,
        pool: Sequence[Item] | None = None,
    ) -> None:
        super().__init__(
            name,
            items,
            settings=settings,
            seed=seed,
            version=version,
            data_sha256=data_sha256,
            strata=strata,
        )
        limit = float(settings["max_new_tokens"])
        self.metrics = tuple(
            replace(metric, reference=limit) if metric.name == TOKENS.name else metric
            for metric in self.metrics
        )
        if pool is None:
            pool = [items[index] for index in self.rest]
        self._format = PromptFormat(settings, pool, seed=seed, name=name)

    @abstractmethod
    def grade(self, item: Item, answer: "Generated") -> dict[str, float]:
        """Return the metrics of one answer, all but ``tokens``."""

    def prepare(self, model: "LanguageModel", split: str) -> Any:
        """Build, tokenise and collate the prompts of ``split``."""
        items = self.items(split)
        requests = [
            [
                model.encoder.generation_request(
                    self._format.render(item, model.encoder),
                    max_new_tokens=self.settings["max_new_tokens"],
                    stop=self.settings["stop"],
                )
            ]
            for item in items
        ]
        plan = model.plan_generation(
            requests, block_size=self.block_size, batch_size=self.settings["batch_size"]
        )
        return items, plan

    def score(
        self, model: "LanguageModel", requests: Any, indices: Sequence[int]
    ) -> list[ExampleRecord]:
        """Answer and grade the examples ``indices``."""
        items, plan = requests
        records = []
        for index, (answer,) in zip(indices, model.generate(plan, indices), strict=True):
            flags = [flag for flag in ("capped", "truncated") if getattr(answer, flag)]
            metrics = self.grade(items[index], answer) | {"tokens": float(answer.n_tokens)}
            records.append(
                ExampleRecord(metrics, answer.text, tokens=answer.n_tokens, flags=tuple(flags))
            )
        return records
