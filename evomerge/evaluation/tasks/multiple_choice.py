"""Questions with given choices, answered by the likeliest one."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

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
    Parameter("question_key", "str", "Key of the question.", default="question"),
    Parameter("choices_key", "str", "Key of the list of choices.", default="choices"),
    Parameter(
        "gold_key", "str", "Key of the right choice: its index from 0, or its text.", default="gold"
    ),
    TEMPLATE,
    Parameter("choice_prefix", "str", "Stands before each choice when it is scored.", default=" "),
    *PROMPT_PARAMETERS,
    BLOCK_SIZE,
    BATCH_SIZE,
    SPLIT_SIZES,
    STRATIFY,
)


@evaluator("multiple_choice", parameters=PARAMETERS)
class MultipleChoiceEvaluator(SplitTask):
    """Choices compared by log-likelihood, as they are (acc) or per character (acc_norm).

    ``gold_prob`` is the right choice's probability per token, a graded score for small models.

    Args:
        name: The evaluator's name in the run file.
        seed: The run's seed.
        options: Values of ``PARAMETERS``.

    Raises:
        EvaluationError: Data or settings don't fit.
    """

    primary = "acc"

    def __init__(self, name: str, *, seed: int, **options: Any) -> None:
        settings = fill_settings("multiple_choice", PARAMETERS, name, options)
        table = read_table(settings["data"])
        shots = None if settings["fewshot_data"] is None else read_table(settings["fewshot_data"])
        items = _items(table, settings)
        super().__init__(
            name,
            items,
            settings=settings,
            seed=seed,
            version="multiple_choice/1",
            data_sha256=content_hash([table.sha256, shots.sha256 if shots else ""]),
            strata=table.strata(settings["stratify_key"]),
        )
        # What guessing gives is no achievement.
        chance = float(np.mean([1 / len(item.extra["choices"]) for item in items]))
        self.metrics: Sequence[Metric] = (
            Metric("acc", binary=True, reference=chance),
            Metric("acc_norm", binary=True, reference=chance),
            Metric("gold_prob", range="unit"),
        )
        pool = _items(shots, settings) if shots else [items[index] for index in self.rest]
        self._format = PromptFormat(settings, pool, seed=seed, name=name)

    def prepare(self, model: "LanguageModel", split: str) -> Any:
        """Build, tokenise and collate one sequence a choice."""
        items = self.items(split)
        requests = []
        for item in items:
            prompt = self._format.render(item, model.encoder)
            requests.append(
                [model.encoder.encode_pair(prompt, choice) for choice in item.extra["scored"]]
            )
        plan = model.plan_scoring(
            requests, block_size=self.block_size, batch_size=self.settings["batch_size"]
        )
        return items, plan

    def score(
        self, model: "LanguageModel", requests: Any, indices: Sequence[int]
    ) -> list[ExampleRecord]:
        """Score every choice of the examples ``indices``."""
        items, plan = requests
        records = []
        for index, scored in zip(indices, model.logprobs(plan, indices), strict=True):
            item = items[index]
            gold, choices = item.extra["gold"], item.extra["choices"]
            totals = np.array([choice.logprob for choice in scored])
            per_character = totals / [max(1, len(choice)) for choice in choices]
            answer = int(totals.argmax())
            metrics: dict[str, float | tuple[float, ...]] = {
                "acc": float(answer == gold),
                "acc_norm": float(int(per_character.argmax()) == gold),
                "gold_prob": math.exp(scored[gold].logprob / scored[gold].n_tokens),
            }
            n_tokens = sum(choice.n_tokens for choice in scored)
            records.append(ExampleRecord(metrics, choices[answer], tokens=n_tokens))
        return records


def _items(table: Table, settings: dict[str, Any]) -> list[Item]:
    items = []
    for index in range(len(table.records)):
        template = settings["template"]
        prompt = (
            table.text(index, settings["question_key"])
            if template is None
            else render_template(template, table, index)
        )
        choices = _choices(table, index, settings["choices_key"])
        gold = _gold(table, index, settings["gold_key"], choices)
        scored = [settings["choice_prefix"] + choice for choice in choices]
        items.append(
            Item(
                prompt,
                scored[gold],
                identity=prompt + "\n" + "\n".join(sorted(choices)),
                extra={"choices": choices, "gold": gold, "scored": scored},
            )
        )
    return items


def _choices(table: Table, index: int, key: str) -> list[str]:
    value = table.get(index, key)
    if (
        not isinstance(value, list)
        or len(value) < 2
        or not all(isinstance(choice, str) and choice for choice in value)
    ):
        raise EvaluationError(
            f"{table.path}:{table.lines[index]}: {key!r} is {value!r}; expected a list of at least "
            "two texts."
        )
    return value


def _gold(table: Table, index: int, key: str, choices: list[str]) -> int:
    value = table.get(index, key)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(choices):
        return value
    if isinstance(value, str) and value in choices:
        return choices.index(value)
    raise EvaluationError(
        f"{table.path}:{table.lines[index]}: {key!r} is {value!r}; expected the index (0 to "
        f"{len(choices) - 1}) or the text of one of the {len(choices)} choices."
    )
