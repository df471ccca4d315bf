"""The generation evaluator: metrics, settings, mistakes."""

from collections.abc import Callable
from typing import Any

import pytest

from evomerge.errors import EvaluationError
from evomerge.evaluation import EVALUATORS
from evomerge.evaluation.base import Item
from evomerge.evaluation.decoding import Generated

SIZES = {"search": 10, "validation": 6, "test": 4}
RECORDS = [{"prompt": f"{index} =", "answer": str(index)} for index in range(40)]


def make(path: str, **options: Any) -> Any:
    settings = {"splits": SIZES, "max_new_tokens": 6, **options}
    return EVALUATORS.get("generation").value("task", seed=0, data=path, **settings)


def answer(text: str, *, capped: bool = False) -> Generated:
    return Generated(text, 3, capped=capped, truncated=False)


def item(*answers: str) -> Item:
    return Item("p", answers[0], extra={"answers": list(answers)})


def test_answers_that_the_model_gives_are_graded_right(
    language_model: Any, write_lines: Callable[..., str]
) -> None:
    first = make(write_lines(RECORDS), max_new_tokens=12)
    records = first.score(language_model, first.prepare(language_model, "search"), range(10))
    shown = first.examples("search", range(10))
    told = {e.prompt: r for e, r in zip(shown, records, strict=True)}
    ended = [prompt for prompt, record in told.items() if not record.flags]
    assert ended, "the tiny model ends some answers by itself"
    rewritten = [
        {**line, "answer": told[line["prompt"]].answer if line["prompt"] in told else "?"}
        for line in RECORDS
    ]
    second = make(write_lines(rewritten), max_new_tokens=12)
    scored = second.score(language_model, second.prepare(language_model, "search"), range(10))
    for prompt, record in zip([e.prompt for e in shown], scored, strict=True):
        assert record.metrics["exact"] == float(prompt in ended)
        assert record.answer == told[prompt].answer
        assert record.metrics["tokens"] == record.tokens == told[prompt].tokens


def test_an_answer_that_the_limit_cut_is_wrong(write_lines: Callable[..., str]) -> None:
    made = make(write_lines(RECORDS))
    assert made.grade(item("7"), answer(" 7 ")) == {"exact": 1.0}
    assert made.grade(item("7"), answer("7", capped=True)) == {"exact": 0.0}


def test_an_answers_length_counts_from_the_token_limit(write_lines: Callable[..., str]) -> None:
    made = make(write_lines(RECORDS), max_new_tokens=12)
    assert {m.name: m.bounds for m in made.metrics} == {"exact": (0.0, 1.0), "tokens": (12.0, 0.0)}


def test_any_of_several_answers_counts(write_lines: Callable[..., str]) -> None:
    records = [{"prompt": f"{index}", "answer": ["x", index]} for index in range(40)]
    made = make(write_lines(records))
    assert made.examples("search", [0])[0].expected == "x"
    assert made.grade(item("x", "5"), answer("5")) == {"exact": 1.0}


def test_regex_compares_what_the_pattern_finds(write_lines: Callable[..., str]) -> None:
    path = write_lines(RECORDS)
    made = make(path, metric="regex", pattern=r"is (\w+)", match="last", ignore_case=True)
    assert made.primary == "regex"
    assert made.grade(item("yes"), answer("is no, is YES.")) == {"regex": 1.0}
    assert made.grade(item("yes"), answer("yes")) == {"regex": 0.0}


def test_numeric_compares_the_last_number(write_lines: Callable[..., str]) -> None:
    made = make(write_lines(RECORDS), metric="numeric", tolerance=0.01)
    assert made.grade(item("1,000"), answer("so 12 and 1005")) == {"numeric": 1.0}
    assert made.grade(item("1000"), answer("so 1005 and 12")) == {"numeric": 0.0}


def test_template_and_few_shot_examples_come_before_the_prompt(
    language_model: Any, write_lines: Callable[..., str]
) -> None:
    shots = write_lines([{"prompt": f"s{index}", "answer": "z"} for index in range(3)])
    made = make(
        write_lines(RECORDS),
        template="Q {prompt}",
        answer_prefix=" A",
        num_fewshot=2,
        fewshot_data=shots,
        fewshot_separator="|",
    )
    _, plan = made.prepare(language_model, "search")
    row = plan.batches[0].tokens[0].tolist()
    text = language_model.tokenizer.decode(row, skip_special_tokens=True)
    assert text.count("|") == 2
    assert text.count("Az") == 2
    assert text.startswith("Q s")
    assert text.endswith("= A")


def test_few_shot_examples_come_from_no_split_by_default(
    language_model: Any, write_lines: Callable[..., str]
) -> None:
    made = make(write_lines(RECORDS), num_fewshot=3)
    used = {e.prompt for s, n in SIZES.items() for e in made.examples(s, range(n))}
    pool = {RECORDS[index]["prompt"] for index in made.rest}
    assert len(pool) == 20
    assert not used & pool
    for one in made.items("test"):
        assert {shot.prompt for shot in made._format.shots(one)} <= pool


def test_fingerprint_follows_all_that_decides_a_score(write_lines: Callable[..., str]) -> None:
    path = write_lines(RECORDS)
    plain = make(path).fingerprint()
    assert make(write_lines(RECORDS)).fingerprint() == plain, "where the file lies doesn't matter"
    others = [
        make(path, max_new_tokens=7),
        make(path, stop=["x"]),
        make(path, template="{prompt}!"),
        make(path, splits={**SIZES, "search": 11}),
        make(write_lines([{**RECORDS[0], "answer": "?"}, *RECORDS[1:]])),
        EVALUATORS.get("generation").value(
            "task", seed=1, data=path, splits=SIZES, max_new_tokens=6
        ),
    ]
    assert len({plain, *(other.fingerprint() for other in others)}) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "exakt"}, r"evaluators.task.metric: got 'exakt'; did you mean 'exact'"),
        ({"max_tokens": 3}, r"evaluators.task.max_tokens: generation has no such setting"),
        ({"max_new_tokens": 0}, "expected at least 1"),
        ({"metric": "regex"}, "metric: regex needs a pattern"),
        ({"pattern": "x"}, "only it takes one"),
        ({"metric": "regex", "pattern": "("}, r"pattern '\(' is no regular expression"),
        ({"prompt_key": "question"}, r"data1.jsonl:1: no key 'question'"),
        ({"template": "{promt}"}, r"no key 'promt'; did you mean 'prompt'"),
        ({"stratify_key": "kind"}, "no key 'kind'"),
        ({"splits": {"search": 30, "validation": 30, "test": 1}}, "its splits want 61"),
        ({"splits": {"search": 30, "validation": 0, "test": 1}}, "'validation' would have no"),
    ],
)
def test_mistakes_in_settings_are_one_clear_error(
    write_lines: Callable[..., str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(EvaluationError, match=message):
        make(write_lines(RECORDS), **options)


def test_expected_answers_must_be_numbers_for_numeric(write_lines: Callable[..., str]) -> None:
    path = write_lines([*RECORDS, {"prompt": "x", "answer": "many"}])
    with pytest.raises(EvaluationError, match=r":41: 'answer' is 'many'; metric: numeric expects"):
        make(path, metric="numeric")


def test_an_unknown_split_is_named(write_lines: Callable[..., str]) -> None:
    with pytest.raises(EvaluationError, match="no split 'train'; expected one of search"):
        make(write_lines(RECORDS)).n_examples("train")
