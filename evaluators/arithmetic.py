r"""Arithmetic with answers to check: a plug-in that makes its own problems and needs no data.

    evomerge run CONFIG --plugin evaluators/arithmetic.py

    evaluators:
      sums: {type: arithmetic, operators: ["+", "-"], max_digits: 2, num_fewshot: 4, stop: ["\n"]}

To write one like it: declare the settings, make the examples, say how one answer is graded.
``GenerationTask`` does the rest: splits, prompts, batches, decoding, records.
"""

import hashlib
import operator
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from evomerge.errors import EvaluationError
from evomerge.evaluation.base import Item, fill_settings
from evomerge.evaluation.grading import matches_number
from evomerge.evaluation.protocol import Metric, evaluator
from evomerge.evaluation.text_generation import GENERATION_PARAMETERS, TOKENS, GenerationTask
from evomerge.recipes.declarations import Parameter

if TYPE_CHECKING:
    from evomerge.evaluation.decoding import Generated

OPERATORS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}

PARAMETERS = (
    Parameter("operators", "list", "Any of +, - and *.", default=["+", "-", "*"]),
    Parameter("max_digits", "int", "Digits of the larger operand.", default=2, low=1, high=9),
    Parameter(
        "n_problems", "int", "Problems to make; equal ones are kept once.", default=800, low=4
    ),
    *GENERATION_PARAMETERS,
)


@evaluator("arithmetic", parameters=PARAMETERS)
class ArithmeticEvaluator(GenerationTask):
    """Sums, differences and products of random whole numbers, graded by the answer's last number.

    Args:
        name: The evaluator's name in the run file.
        seed: The run's seed; equal seeds make equal problems.
        options: Values of ``PARAMETERS``.

    Raises:
        EvaluationError: Settings don't fit, or ask for more problems than there are.
    """

    metrics: Sequence[Metric] = (Metric("correct", binary=True), TOKENS)
    primary = "correct"

    def __init__(self, name: str, *, seed: int, **options: Any) -> None:
        settings = fill_settings("arithmetic", PARAMETERS, name, options)
        items = make_problems(name, settings, seed)
        super().__init__(
            name,
            items,
            settings=settings,
            seed=seed,
            version="arithmetic/1",
            data_sha256=hashlib.sha256(repr(items).encode()).hexdigest(),
            strata=[item.extra["operator"] for item in items],
        )

    def grade(self, item: Item, answer: "Generated") -> dict[str, float]:
        """Return 1 for the right number, 0 for a wrong one or an answer that the limit cut."""
        right = not answer.capped and matches_number(answer.text, [item.expected])
        return {"correct": float(right)}


def make_problems(name: str, settings: dict[str, Any], seed: int) -> list[Item]:
    """Return distinct problems, each operator as often as the others.

    Raises:
        EvaluationError: An operator is unknown.
    """
    symbols = settings["operators"]
    if not symbols or not set(symbols) <= set(OPERATORS):
        raise EvaluationError(
            f"evaluator {name!r}: operators is {symbols!r}; expected a list of any of "
            f"{', '.join(OPERATORS)}."
        )
    rng = random.Random(seed)
    found: dict[str, Item] = {}
    for number in range(settings["n_problems"]):
        symbol = symbols[number % len(symbols)]
        left, right = (_operand(rng, settings["max_digits"]) for _ in range(2))
        prompt = f"{left} {symbol} {right} = "
        answer = str(OPERATORS[symbol](left, right))
        found.setdefault(prompt, Item(prompt, answer, extra={"operator": symbol}))
    return list(found.values())


def _operand(rng: random.Random, max_digits: int) -> int:
    """Return a number whose count of digits is uniform, so that short ones aren't rare."""
    n_digits = rng.randint(1, max_digits)
    return rng.randrange(10 ** (n_digits - 1) if n_digits > 1 else 0, 10**n_digits)
