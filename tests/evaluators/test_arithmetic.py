"""The arithmetic plug-in: its problems are right, distinct and seeded."""

from pathlib import Path
from typing import Any

import pytest

from evomerge.errors import EvaluationError
from evomerge.evaluation import EVALUATORS
from evomerge.evaluation.decoding import Generated
from evomerge.recipes.declarations import load_plugin_file

load_plugin_file(Path(__file__).parents[2] / "evaluators" / "arithmetic.py")


def make(seed: int = 0, **options: Any) -> Any:
    return EVALUATORS.get("arithmetic").value("sums", seed=seed, **options)


def problems(made: Any) -> list[tuple[str, str]]:
    return [
        (e.prompt, e.expected) for e in made.examples("search", range(made.n_examples("search")))
    ]


def test_problems_are_right_distinct_and_within_their_digits() -> None:
    found = problems(make(max_digits=3, n_problems=300))
    assert len({prompt for prompt, _ in found}) == len(found)
    for prompt, expected in found:
        left, symbol, right, _ = prompt.split()
        assert max(len(left), len(right)) <= 3
        results = {
            "+": int(left) + int(right),
            "-": int(left) - int(right),
            "*": int(left) * int(right),
        }
        assert results[symbol] == int(expected)


def test_operators_share_each_split() -> None:
    found = [prompt.split()[1] for prompt, _ in problems(make(n_problems=300))]
    assert all(abs(found.count(symbol) - len(found) / 3) < 10 for symbol in "+-*")


def test_seeds_make_different_problems() -> None:
    assert problems(make()) == problems(make())
    assert problems(make()) != problems(make(seed=1))


def test_the_last_number_of_an_answer_counts() -> None:
    made = make()
    item = made.items("search")[0]
    good = Generated(f" it is {item.expected}.", 4, capped=False, truncated=False)
    assert made.grade(item, good) == {"correct": 1.0}
    cut = Generated(item.expected, 4, capped=True, truncated=False)
    assert made.grade(item, cut) == {"correct": 0.0}


@pytest.mark.parametrize("operators", [[], ["/"]])
def test_unknown_operators_are_named(operators: list[str]) -> None:
    with pytest.raises(EvaluationError, match=r"expected a list of any of \+, -, \*"):
        make(operators=operators)


def test_more_problems_than_there_are_is_one_clear_error() -> None:
    sizes = {"search": 100, "validation": 100, "test": 101}
    with pytest.raises(EvaluationError, match="and its splits want 301"):
        make(max_digits=1, operators=["+"], splits=sizes)
