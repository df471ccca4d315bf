"""Prompts: templates, few-shot draws, chat templates."""

from pathlib import Path
from typing import Any

import pytest

from evomerge.errors import EvaluationError
from evomerge.evaluation.base import Item
from evomerge.evaluation.data import Table
from evomerge.evaluation.prompting import PROMPT_PARAMETERS, PromptFormat, render_template

POOL = [Item(f"q{index}", f"a{index}") for index in range(8)]


def settings(**changes: Any) -> dict[str, Any]:
    return {parameter.name: parameter.default for parameter in PROMPT_PARAMETERS} | changes


def prompt_format(pool: list[Item] = POOL, seed: int = 0, **changes: Any) -> PromptFormat:
    return PromptFormat(settings(**changes), pool, seed=seed, name="t")


def test_template_takes_keys_and_doubled_braces() -> None:
    table = Table(Path("d.jsonl"), ({"a": "x", "b": 3},), (1,), "")
    assert render_template("{a}-{b} {{a}}", table, 0) == "x-3 {a}"
    with pytest.raises(EvaluationError, match=r"d.jsonl:1: no key 'c'"):
        render_template("{c}", table, 0)


def test_few_shot_draws_repeat_and_differ_between_prompts_and_seeds() -> None:
    items = [Item(f"new {index}", "") for index in range(12)]
    form = prompt_format(num_fewshot=3)
    drawn = [[shot.prompt for shot in form.shots(item)] for item in items]
    assert drawn == [[shot.prompt for shot in form.shots(item)] for item in items]
    assert all(len(set(shots)) == 3 for shots in drawn)
    assert len({tuple(shots) for shots in drawn}) > 6
    other = prompt_format(seed=1, num_fewshot=3)
    assert drawn != [[shot.prompt for shot in other.shots(item)] for item in items]


def test_few_shot_examples_are_never_the_prompt_itself() -> None:
    form = prompt_format(num_fewshot=7)
    for item in POOL:
        shots = form.shots(Item(f" {item.prompt.upper()} ", ""))
        assert {shot.prompt for shot in shots} == {p.prompt for p in POOL} - {item.prompt}


def test_too_few_examples_to_draw_from_are_refused() -> None:
    with pytest.raises(EvaluationError, match="num_fewshot is 8, and there are 8 examples"):
        prompt_format(num_fewshot=8)


def test_plain_prompt_is_system_shots_prompt(language_model: Any) -> None:
    form = prompt_format(
        POOL[:2], num_fewshot=1, system_prompt="S", answer_prefix="=", fewshot_separator=";"
    )
    assert form.render(POOL[0], language_model.encoder) == "S;q1=a1;q0="


def test_chat_template_gets_turns(language_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    form = prompt_format(POOL[:2], num_fewshot=1, system_prompt="S", chat_template=True)
    with pytest.raises(EvaluationError, match="the tokenizer has no chat template"):
        form.render(POOL[0], language_model.encoder)
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
    monkeypatch.setattr(language_model.tokenizer, "chat_template", template)
    expected = "<system>S<user>q1<assistant>a1<user>q0<assistant>"
    assert form.render(POOL[0], language_model.encoder) == expected
    refusing = "{{ raise_exception('no system role') }}"
    monkeypatch.setattr(language_model.tokenizer, "chat_template", refusing)
    with pytest.raises(EvaluationError, match="refuses the messages: no system role"):
        form.render(POOL[0], language_model.encoder)
