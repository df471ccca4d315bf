"""Answers that the model writes, compared exactly, through a pattern, or as numbers."""

import json
import re
from typing import TYPE_CHECKING, Any

from evomerge.errors import EvaluationError
from evomerge.evaluation.base import DATA, STRATIFY, Item, fill_settings
from evomerge.evaluation.data import Table, content_hash, read_table
from evomerge.evaluation.grading import extract, last_number, matches_exactly, matches_number
from evomerge.evaluation.prompting import TEMPLATE, render_template
from evomerge.evaluation.protocol import Metric, evaluator
from evomerge.evaluation.text_generation import GENERATION_PARAMETERS, TOKENS, GenerationTask
from evomerge.recipes.declarations import Parameter

if TYPE_CHECKING:
    from evomerge.evaluation.decoding import Generated

PARAMETERS = (
    DATA,
    Parameter(
        "metric",
        "str",
        "exact: the answer equals the expected one; regex: what 'pattern' finds in it does; "
        "numeric: its last number does.",
        default="exact",
        choices=("exact", "regex", "numeric"),
    ),
    Parameter("prompt_key", "str", "Key of the prompt.", default="prompt"),
    Parameter(
        "answer_key", "str", "Key of the expected answer, or a list of them.", default="answer"
    ),
    TEMPLATE,
    Parameter("pattern", "str", "(regex) What to look for; its first group if it has one."),
    Parameter(
        "match",
        "str",
        "(regex) Which match counts.",
        default="first",
        choices=("first", "last"),
    ),
    Parameter("ignore_case", "bool", "(exact, regex) Compare without case.", default=False),
    Parameter(
        "tolerance",
        "float",
        "(numeric) Largest difference, relative to the expected number.",
        default=0.0,
        low=0.0,
    ),
    *GENERATION_PARAMETERS,
    STRATIFY,
)


@evaluator("generation", parameters=PARAMETERS)
class GenerationEvaluator(GenerationTask):
    """Free answers to prompts from a JSON Lines file, by exact, regex or numeric match.

    Args:
        name: The evaluator's name in the run file.
        seed: The run's seed.
        options: Values of ``PARAMETERS``.

    Raises:
        EvaluationError: Data or settings don't fit.
    """

    def __init__(self, name: str, *, seed: int, **options: Any) -> None:
        settings = fill_settings("generation", PARAMETERS, name, options)
        table = read_table(settings["data"])
        shots = None if settings["fewshot_data"] is None else read_table(settings["fewshot_data"])
        self.primary = settings["metric"]
        self.metrics = (Metric(self.primary, binary=True), TOKENS)
        self._pattern = _compile(name, settings)
        super().__init__(
            name,
            _items(table, settings),
            settings=settings,
            seed=seed,
            version="generation/1",
            data_sha256=content_hash([table.sha256, shots.sha256 if shots else ""]),
            strata=table.strata(settings["stratify_key"]),
            pool=_items(shots, settings) if shots else None,
        )

    def grade(self, item: Item, answer: "Generated") -> dict[str, float]:
        """Return 1 for a right answer, 0 for a wrong one or one that the token limit cut."""
        return {self.primary: float(not answer.capped and self._is_right(item, answer.text))}

    def _is_right(self, item: Item, text: str) -> bool:
        expected = item.extra["answers"]
        if self.primary == "numeric":
            return matches_number(text, expected, tolerance=self.settings["tolerance"])
        if self._pattern is not None:
            found = extract(text, self._pattern, last=self.settings["match"] == "last")
            if found is None:
                return False
            text = found
        return matches_exactly(text, expected, ignore_case=self.settings["ignore_case"])


def _compile(name: str, settings: dict[str, Any]) -> re.Pattern[str] | None:
    """Return the compiled pattern, or None where the metric needs none."""
    pattern = settings["pattern"]
    if (settings["metric"] == "regex") != (pattern is not None):
        raise EvaluationError(
            f"evaluator {name!r}: metric is {settings['metric']} and pattern is {pattern!r}. "
            "metric: regex needs a pattern, and only it takes one."
        )
    if pattern is None:
        return None
    try:
        return re.compile(pattern)
    except re.error as error:
        raise EvaluationError(
            f"evaluator {name!r}: pattern {pattern!r} is no regular expression ({error}). Mend it."
        ) from error


def _items(table: Table, settings: dict[str, Any]) -> list[Item]:
    items = []
    for index in range(len(table.records)):
        answers = _answers(table, index, settings)
        template = settings["template"]
        prompt = (
            table.text(index, settings["prompt_key"])
            if template is None
            else render_template(template, table, index)
        )
        items.append(Item(prompt, answers[0], extra={"answers": answers}))
    return items


def _answers(table: Table, index: int, settings: dict[str, Any]) -> list[str]:
    """Return all accepted answers of a record, at least one."""
    key = settings["answer_key"]
    value = table.get(index, key)
    if isinstance(value, list) and value:
        answers = [text if isinstance(text, str) else json.dumps(text) for text in value]
    else:
        answers = [table.text(index, key)]
    if settings["metric"] == "numeric" and last_number(answers[0]) is None:
        raise EvaluationError(
            f"{table.path}:{table.lines[index]}: {key!r} is {answers[0]!r}; metric: numeric "
            "expects a number in it."
        )
    return answers
