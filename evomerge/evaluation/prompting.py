"""Prompts: template, few-shot examples, system prompt and chat template."""

import random
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evomerge.errors import EvaluationError
from evomerge.evaluation.base import Item
from evomerge.evaluation.data import Table
from evomerge.evaluation.splits import normalise_text
from evomerge.recipes.declarations import Parameter

if TYPE_CHECKING:
    from evomerge.evaluation.encoding import TextEncoder

PROMPT_PARAMETERS = (
    Parameter("num_fewshot", "int", "Solved examples before each prompt.", default=0, low=0),
    Parameter(
        "fewshot_data",
        "str",
        "JSON Lines file of few-shot examples; without it they come from data that no split uses.",
    ),
    Parameter("fewshot_separator", "str", "Stands after each few-shot example.", default="\n\n"),
    Parameter("answer_prefix", "str", "Stands between a prompt and its answer.", default=""),
    Parameter(
        "chat_template", "bool", "Wrap prompts in the tokenizer's chat template.", default=False
    ),
    Parameter("system_prompt", "str", "System message, or the text before all.", default=""),
)
TEMPLATE = Parameter(
    "template", "str", "Prompt with the data's keys in braces: 'Q: {question}\\nA:'."
)


def render_template(template: str, table: Table, index: int) -> str:
    """Return ``template`` with ``{key}`` replaced by the record's fields; ``{{`` is a brace.

    Raises:
        EvaluationError: A key is missing.
    """

    def replace(match: re.Match[str]) -> str:
        found = match.group()
        return found[0] if found in ("{{", "}}") else table.text(index, match["key"])

    return re.sub(r"\{\{|\}\}|\{(?P<key>\w+)\}", replace, template)


class PromptFormat:
    """How an item becomes the text that the model reads.

    Args:
        settings: Values of ``PROMPT_PARAMETERS``.
        pool: Where few-shot examples come from.
        seed: Seed of the draws; each prompt draws for itself.
        name: The evaluator, for messages.

    Raises:
        EvaluationError: There are too few examples to draw from.
    """

    def __init__(
        self, settings: Mapping[str, Any], pool: Sequence[Item], *, seed: int, name: str
    ) -> None:
        self.settings = settings
        self._seed = seed
        self._pool = {normalise_text(item.text): item for item in pool}
        wanted = settings["num_fewshot"]
        if wanted and len(self._pool) <= wanted:
            raise EvaluationError(
                f"evaluator {name!r}: num_fewshot is {wanted}, and there are {len(self._pool)} "
                "examples to draw from; expected more than num_fewshot. Give fewshot_data, or "
                "smaller splits: examples that are in no split are drawn from."
            )

    def shots(self, item: Item) -> list[Item]:
        """Return the few-shot examples of ``item``: seeded by its text, never its duplicate."""
        wanted = self.settings["num_fewshot"]
        if not wanted:
            return []
        text = normalise_text(item.text)
        rng = random.Random(f"{self._seed}\n{text}")
        drawn = rng.sample(list(self._pool), wanted + 1)
        return [self._pool[other] for other in drawn if other != text][:wanted]

    def render(self, item: Item, encoder: "TextEncoder") -> str:
        """Return the full prompt of ``item``."""
        prefix: str = self.settings["answer_prefix"]
        system: str = self.settings["system_prompt"]
        shots = self.shots(item)
        if not self.settings["chat_template"]:
            end = self.settings["fewshot_separator"]
            solved = "".join(f"{shot.prompt}{prefix}{shot.expected}{end}" for shot in shots)
            return f"{system}{end if system else ''}{solved}{item.prompt}{prefix}"
        messages = [{"role": "system", "content": system}] if system else []
        for shot in shots:
            messages.append({"role": "user", "content": shot.prompt})
            messages.append({"role": "assistant", "content": shot.expected})
        messages.append({"role": "user", "content": item.prompt})
        return encoder.chat(messages) + prefix
