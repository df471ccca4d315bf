import pytest
import torch

from evomerge.errors import EvaluationError, NotFiniteError
from evomerge.evaluation.answering import answer, drawing
from evomerge.evaluation.conversation import Message, Prompt
from evomerge.evaluation.language_model import LanguageModel
from tests.fixtures_models import tiny_model

TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return LanguageModel.load(tiny_model("llama", tmp_path_factory.mktemp("answer") / "m", seed=1))


def ask(text: str, **settings: object) -> Prompt:
    return Prompt((Message("user", text),), **{"max_new_tokens": 12, **settings})  # type: ignore[arg-type]


def test_without_temperature_it_says_what_transformers_would(model: LanguageModel) -> None:
    found = answer(model, ask("hello there"))
    tokens = model.tokenizer("hello there", return_tensors="pt").input_ids
    expected = model.model.generate(tokens, max_new_tokens=12, do_sample=False)
    said = model.tokenizer.decode(expected[0, tokens.shape[1] :], skip_special_tokens=True)
    assert (found.text, found.templated, found.truncated) == (said, False, False)


def test_draws_repeat_under_a_seed_and_touch_no_other_random_state(model: LanguageModel) -> None:
    before = torch.random.get_rng_state()
    answers = [answer(model, ask("hello", temperature=1.5, seed=s)).text for s in (4, 4, 5)]
    assert answers[0] == answers[1] != answers[2]
    assert torch.equal(before, torch.random.get_rng_state())


def test_draws_follow_the_temperature() -> None:
    logits = torch.tensor([[0.0, 1.0, 4.0]]).repeat(4000, 1)
    for temperature in (0.5, 2.0):
        drawn = drawing(temperature, 0)(logits)
        shares = torch.bincount(drawn, minlength=3) / len(drawn)
        torch.testing.assert_close(shares, (logits[0] / temperature).softmax(0), atol=0.02, rtol=0)
    with pytest.raises(NotFiniteError):
        drawing(1.0, 0)(torch.tensor([[0.0, float("nan")]]))


def test_a_chat_template_is_used_where_there_is_one_and_it_is_wanted(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = (Message("user", "one"), Message("assistant", "two"), Message("user", "three"))
    plain = answer(model, Prompt(talk, 8))
    assert plain.text == answer(model, ask("one\ntwo\nthree", max_new_tokens=8)).text
    monkeypatch.setattr(model.tokenizer, "chat_template", TEMPLATE)
    templated = answer(model, Prompt(talk, 8))
    assert templated.templated
    whole = "[user]one[assistant]two[user]three[assistant]"
    monkeypatch.setattr(model.tokenizer, "chat_template", None)
    assert templated.text == answer(model, ask(whole, max_new_tokens=8)).text
    assert answer(model, Prompt(talk, 8, template=False)) == plain


def test_a_long_conversation_keeps_its_end_and_half_the_room(model: LanguageModel) -> None:
    found = answer(model, ask("x" * 500 + "end", max_new_tokens=4096))
    assert found.truncated
    assert found.n_tokens <= 64
    with pytest.raises(EvaluationError, match="no tokens"):
        answer(model, ask(""))
