"""The multiple-choice evaluator: choices compared as they are and per character."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from evomerge.errors import EvaluationError
from evomerge.evaluation import EVALUATORS

RECORDS = [
    {"question": f"{index}?", "choices": ["no", "yes indeed", f"{index}"], "gold": index % 3}
    for index in range(24)
]


def make(path: str, **options: Any) -> Any:
    return EVALUATORS.get("multiple_choice").value("task", seed=0, data=path, **options)


def test_scores_follow_the_choices_log_likelihoods(
    language_model: Any, write_lines: Callable[..., str]
) -> None:
    made = make(write_lines(RECORDS), template="Q{question}", choice_prefix="=")
    prepared = made.prepare(language_model, "search")
    records = made.score(language_model, prepared, range(12))
    assert {record.metrics["acc"] for record in records} == {0.0, 1.0}
    for item, record in zip(made.items("search"), records, strict=True):
        pairs = [
            language_model.encoder.encode_pair(item.prompt, "=" + choice)
            for choice in item.extra["choices"]
        ]
        plan = language_model.plan_scoring([pairs], block_size=1, batch_size=1)
        sums = [scored.logprob for scored in language_model.logprobs(plan, [0])[0]]
        lengths = [len(choice) for choice in item.extra["choices"]]
        gold = item.extra["gold"]
        best = max(range(3), key=lambda n: sums[n])
        best_per_character = max(range(3), key=lambda n: sums[n] / lengths[n])
        assert record.answer == item.extra["choices"][best]
        assert record.metrics["acc"] == float(best == gold)
        assert record.metrics["acc_norm"] == float(best_per_character == gold)
        expected = math.exp(sums[gold] / len(pairs[gold].continuation))
        assert record.metrics["gold_prob"] == pytest.approx(expected, rel=1e-5)


def test_accuracy_counts_from_what_guessing_gives(write_lines: Callable[..., str]) -> None:
    half = [{**record, "choices": record["choices"][:2], "gold": 0} for record in RECORDS[::2]]
    made = make(write_lines(half + RECORDS[1::2]))
    bounds = {metric.name: metric.bounds for metric in made.metrics}
    chance = (1 / 2 + 1 / 3) / 2
    assert bounds["acc"] == bounds["acc_norm"] == (pytest.approx(chance), 1.0)
    assert bounds["gold_prob"] == (0.0, 1.0)


def test_gold_may_be_the_choices_text(write_lines: Callable[..., str]) -> None:
    by_text = [{**record, "gold": record["choices"][record["gold"]]} for record in RECORDS]
    one, other = make(write_lines(RECORDS)), make(write_lines(by_text))
    assert one.examples("test", range(6)) == other.examples("test", range(6))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gold": 3}, r":1: 'gold' is 3; expected the index \(0 to 2\)"),
        ({"gold": "maybe"}, r"'gold' is 'maybe'"),
        ({"gold": True}, r"'gold' is True"),
        ({"choices": ["one"]}, r"'choices' is \['one'\]; expected a list of at least two texts"),
        ({"choices": "ab"}, "'choices' is 'ab'"),
    ],
)
def test_bad_lines_are_named(
    write_lines: Callable[..., str], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(EvaluationError, match=message):
        make(write_lines([{**RECORDS[0], **change}, *RECORDS[1:]]))
