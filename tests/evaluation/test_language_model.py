"""The resident model: generation and log-likelihoods against transformers' own, and batching."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from evomerge.errors import EvaluationError, NotFiniteError
from evomerge.evaluation.batches import GenerationRequest, ScoringBatch, ScoringRequest
from evomerge.evaluation.language_model import LanguageModel
from tests.fixtures_models import tiny_model

LETTERS = "abcdefgh ijk"


def texts(n: int, low: int, high: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices(LETTERS, k=rng.randint(low, high))) + "x" for _ in range(n)]


def generate(
    model: LanguageModel,
    prompts: list[str],
    stop: tuple[str, ...] = (),
    limit: int = 7,
    **sizes: int,
) -> list[Any]:
    requests = [
        [model.encoder.generation_request(prompt, max_new_tokens=limit, stop=stop)]
        for prompt in prompts
    ]
    sizes = {"block_size": 8, "batch_size": 4} | sizes
    plan = model.plan_generation(requests, **sizes)
    return [answer for (answer,) in model.generate(plan, range(len(prompts)))]


@pytest.mark.parametrize(
    "family", ["llama", "gpt2", "gpt_neox", "qwen3", "gemma2", "gemma3", "mixtral"]
)
def test_answers_equal_those_of_transformers(family: str, tmp_path: Path) -> None:
    model = LanguageModel.load(tiny_model(family, tmp_path / family, seed=1))
    prompts = texts(9, 2, 20)
    for prompt, answer in zip(prompts, generate(model, prompts), strict=True):
        tokens = torch.tensor([model.tokenizer.encode(prompt)])
        written = model.model.generate(tokens, max_new_tokens=7, do_sample=False)
        text = model.tokenizer.decode(written[0, tokens.shape[1] :], skip_special_tokens=True)
        assert answer.text == text


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "mixtral"])
def test_log_likelihoods_equal_a_pass_of_each_sequence_alone(family: str, tmp_path: Path) -> None:
    model = LanguageModel.load(tiny_model(family, tmp_path / family, seed=1))
    pairs = list(zip(texts(11, 1, 25), texts(11, 1, 9, seed=2), strict=True))
    requests = [[model.encoder.encode_pair(*pair)] for pair in pairs]
    plan = model.plan_scoring(requests, block_size=6, batch_size=4)
    found = model.logprobs(plan, range(len(pairs)))
    for (request,), (scored,) in zip(requests, found, strict=True):
        tokens = torch.tensor([request.context + request.continuation])
        with torch.no_grad():
            logprobs = model.model(tokens).logits[0].log_softmax(-1)
        first = len(request.context)
        steps = range(first, tokens.shape[1])
        expected = sum(float(logprobs[step - 1, tokens[0, step]]) for step in steps)
        greedy = all(int(logprobs[step - 1].argmax()) == tokens[0, step] for step in steps)
        assert scored.logprob == pytest.approx(expected, rel=1e-5)
        assert scored.is_greedy == greedy
        assert scored.n_tokens == len(request.continuation)


def test_greedy_continuations_are_flagged(language_model: LanguageModel) -> None:
    prompt = "abc"
    (answer,) = generate(language_model, [prompt])
    requests = [
        [language_model.encoder.encode_pair(prompt, text)] for text in (answer.text, "zzzz")
    ]
    plan = language_model.plan_scoring(requests, block_size=2, batch_size=2)
    flags = [scored.is_greedy for (scored,) in language_model.logprobs(plan, [0, 1])]
    assert flags == [True, False]


def test_requests_that_differ_in_their_last_token_share_a_row(
    language_model: LanguageModel,
) -> None:
    pairs = [("the answer: ", letter) for letter in "ABCD"] + [("the answer:", " AB")]
    requests = [[language_model.encoder.encode_pair(*pair) for pair in pairs]]
    plan = language_model.plan_scoring(requests, block_size=1, batch_size=8)
    (batch,) = plan.batches
    assert isinstance(batch, ScoringBatch)
    assert batch.tokens.shape[0] == 2
    (together,) = language_model.logprobs(plan, [0])
    for request, scored in zip(requests[0], together, strict=True):
        alone = language_model.plan_scoring([[request]], block_size=1, batch_size=1)
        assert language_model.logprobs(alone, [0])[0][0].logprob == pytest.approx(
            scored.logprob, rel=1e-5
        )


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize(
    "family", ["llama", "gpt2", "gpt_neox", "gemma2", "gemma3", "mistral", "qwen3_moe"]
)
def test_shared_contexts_give_the_log_likelihoods_of_whole_sequences(
    family: str, padded: bool, tmp_path: Path
) -> None:
    folder = tiny_model(family, tmp_path / family, seed=1)
    if family == "mistral":
        # A window shorter than the contexts: the cache holds only their ends.
        path = folder / "config.json"
        path.write_text(path.read_text().replace('"sliding_window": 4096', '"sliding_window": 9'))
        assert '"sliding_window": 9' in path.read_text()
    model = LanguageModel.load(folder)
    contexts = texts(7, 13, 30 if padded else 13)
    choices = ["a", "b", "ab", "abc", "abd", "k" * 9]
    requests = [
        [model.encoder.encode_pair(context, choice) for choice in choices] for context in contexts
    ]
    assert model._shares
    sizes = {"block_size": 5, "batch_size": 4}
    shared = model.plan_scoring(requests, **sizes)
    model._shares = False
    whole = model.plan_scoring(requests, **sizes)
    assert {type(batch).__name__ for batch in shared.batches} == {"SharedBatch"}
    assert {type(batch).__name__ for batch in whole.batches} == {"ScoringBatch"}
    indices = [6, 0, 3]
    for ours, theirs in zip(
        model.logprobs(shared, indices), model.logprobs(whole, indices), strict=True
    ):
        for one, other in zip(ours, theirs, strict=True):
            assert one.logprob == pytest.approx(other.logprob, rel=1e-5)
            assert (one.is_greedy, one.n_tokens) == (other.is_greedy, other.n_tokens)


def test_contexts_are_shared_only_where_it_pays(language_model: LanguageModel) -> None:
    def kinds(pairs: list[tuple[str, str]]) -> list[str]:
        requests = [[language_model.encoder.encode_pair(*pair) for pair in pairs]]
        plan = language_model.plan_scoring(requests, block_size=1, batch_size=8)
        return sorted(type(batch).__name__ for batch in plan.batches)

    long = "a long question, is it?"
    assert kinds([(long, " yes"), (long, " no")]) == ["SharedBatch"]
    assert kinds([(long, "A"), (long, "B")]) == ["ScoringBatch"], "one row serves both"
    assert kinds([("short", " yes"), ("short", " no")]) == ["ScoringBatch"]
    assert kinds([(long, " yes"), (long, " no"), ("short", " x")]) == [
        "ScoringBatch",
        "SharedBatch",
    ]


def test_only_needed_positions_keep_logits(language_model: LanguageModel) -> None:
    requests = [[language_model.encoder.encode_pair("a" * 40, " yes")]]
    plan = language_model.plan_scoring(requests, block_size=1, batch_size=1)
    (batch,) = plan.batches
    assert isinstance(batch, ScoringBatch)
    assert batch.keep is not None
    assert batch.keep.tolist() == [39, 40, 41, 42]


def test_batches_stay_within_blocks_and_budgets(language_model: LanguageModel) -> None:
    request = [[language_model.encoder.encode_pair("a" * n, " b")] for n in range(1, 11)]
    plan = language_model.plan_scoring(request, block_size=4, batch_size=3)
    members = [sorted({example for example, _ in batch.slots}) for batch in plan.batches]
    assert members == [[1, 2, 3], [0], [5, 6, 7], [4], [8, 9]]
    assert all(b.tokens.numel() <= 3 * 12 for b in plan.batches)


def test_a_tight_logit_budget_makes_smaller_batches() -> None:
    from evomerge.evaluation.scoring_plan import plan_scoring

    requests = [[ScoringRequest((1,) * 9, (2,))] for _ in range(2)] + [
        [ScoringRequest((1,) * 4, (number,))] for number in (3, 4)
    ]
    plan = plan_scoring(
        requests,
        block_size=4,
        batch_size=9,
        max_logits=8,
        pad_id=0,
        share_contexts=False,
        device=torch.device("cpu"),
    )
    assert [batch.tokens.shape for batch in plan.batches] == [(1, 9), (1, 4)]
    assert [len(batch.slots) for batch in plan.batches] == [2, 2]


def test_results_do_not_depend_on_which_examples_are_asked_for(
    language_model: LanguageModel,
) -> None:
    prompts = texts(13, 2, 20)
    requests = [
        [language_model.encoder.generation_request(prompt, max_new_tokens=5)] for prompt in prompts
    ]
    scoring = [[language_model.encoder.encode_pair(prompt, " word")] for prompt in prompts]
    generation_plan = language_model.plan_generation(requests, block_size=5, batch_size=2)
    scoring_plan = language_model.plan_scoring(scoring, block_size=5, batch_size=2)
    answers = language_model.generate(generation_plan, range(13))
    scores = language_model.logprobs(scoring_plan, range(13))
    for indices in ([12, 0, 7], [3], list(range(12, -1, -1))):
        assert language_model.generate(generation_plan, indices) == [answers[i] for i in indices]
        assert language_model.logprobs(scoring_plan, indices) == [scores[i] for i in indices]


def test_answers_end_at_stop_texts_and_the_limit(language_model: LanguageModel) -> None:
    prompts = texts(12, 2, 20)
    free = generate(language_model, prompts, limit=12)
    assert all(a.capped and a.n_tokens == 12 for a in free if len(a.text) == 12)
    stop = free[0].text[3:5]
    stopped = generate(language_model, prompts, limit=12, stop=(stop,))
    for before, after in zip(free, stopped, strict=True):
        assert after.text == before.text.split(stop)[0]
        if stop in before.text:
            assert not after.capped
            assert after.n_tokens == before.text.index(stop) + len(stop)
    assert any(stop in answer.text for answer in free)


def test_stop_texts_are_found_across_tokens_and_inside_one() -> None:
    from evomerge.evaluation.decoding import StopTexts

    pieces = {1: "a", 2: "b\n", 3: "\nc", 4: "\ufffd", 5: "d"}
    decoded = []

    def decode(tokens: list[int]) -> str:
        decoded.append(tokens)
        return "".join(pieces[token] for token in tokens)

    stops = StopTexts(("\n\n", "END", ""), decode)
    assert not stops.found([1, 2])
    assert stops.found([1, 2, 3])
    assert not stops.found([1, 5])
    assert decoded[-1] == [5], "an answer whose newest token can't end a stop text isn't decoded"
    stops.found([1, 4])
    assert decoded[-1] == [1, 4], "a piece of a character may complete one"
    assert stops.cut("one\n\ntwo END") == "one"
    assert not StopTexts((), decode).found([1])


def test_long_prompts_lose_their_beginning(language_model: LanguageModel) -> None:
    request = language_model.encoder.generation_request("a" * 100 + "b" * 120, max_new_tokens=28)
    assert len(request.prompt) == 100
    assert set(request.prompt) == set(language_model.encoder.encode("b"))
    assert request.truncated
    (answer,) = generate(language_model, ["a" * 100 + "b" * 120], limit=28)
    assert answer.truncated
    with pytest.raises(EvaluationError, match="max_new_tokens is 128 and the model takes 128"):
        language_model.encoder.generation_request("a", max_new_tokens=128)
    with pytest.raises(EvaluationError, match="has no tokens"):
        language_model.encoder.generation_request("", max_new_tokens=4)


def test_pairs_are_tokenised_as_lm_eval_does(language_model: LanguageModel) -> None:
    encoder = language_model.encoder
    pair = encoder.encode_pair("abc  ", "de")
    assert pair == ScoringRequest(encoder.encode("abc"), encoder.encode("  de"))
    assert encoder.encode_pair("", "de") == ScoringRequest((1,), encoder.encode("de"))
    cut = encoder.encode_pair("a" * 200, "bc")
    assert len(cut.context) + len(cut.continuation) == 129
    with pytest.raises(EvaluationError, match="has 0 tokens"):
        encoder.encode_pair("abc", "")
    with pytest.raises(EvaluationError, match="has 130 tokens"):
        encoder.encode_pair("abc", "d" * 130)


def test_windows_score_every_token_once(language_model: LanguageModel) -> None:
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    encoder = language_model.encoder
    for length in (1, 127, 128, 129, 256, 300):
        text = "".join(random.Random(length).choices(LETTERS, k=length))
        windows = encoder.windows(text)
        expected = [
            make_disjoint_window(window)
            for window in get_rolling_token_windows(list(encoder.encode(text)), 1, 128, 1)
        ]
        assert [(list(w.context), list(w.continuation)) for w in windows] == expected
    assert encoder.windows("") == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_fail_the_candidate(tiny_folder: Path, value: float) -> None:
    model = LanguageModel.load(tiny_folder)
    with torch.no_grad():
        model.model.model.norm.weight[0] = value
    with pytest.raises(NotFiniteError, match="logits that are not finite"):
        generate(model, ["abc", "abcdef"])
    plan = model.plan_scoring([[model.encoder.encode_pair("abc", "d")]], block_size=1, batch_size=1)
    with pytest.raises(NotFiniteError, match="log-likelihoods that are not finite"):
        model.logprobs(plan, [0])


def test_changed_weights_change_answers_of_the_same_batches(tiny_folder: Path) -> None:
    model = LanguageModel.load(tiny_folder)
    requests = [[GenerationRequest((5, 6, 7), 6)], [GenerationRequest((8, 9), 6)]]
    plan = model.plan_generation(requests, block_size=2, batch_size=2)
    before = model.generate(plan, [0, 1])
    with torch.no_grad():
        for parameter in model.model.parameters():
            parameter.copy_(parameter.roll(1, 0))
    assert model.generate(plan, [0, 1]) != before


@pytest.mark.gpu
def test_a_gpu_gives_the_same_answers(tiny_folder: Path) -> None:
    prompts = texts(9, 2, 20)
    models = [LanguageModel.load(tiny_folder, device=device) for device in ("cpu", "cuda")]
    answers = [[a.text for a in generate(model, prompts, stop=("e",))] for model in models]
    assert answers[0] == answers[1]
    scores = []
    for model in models:
        requests = [[model.encoder.encode_pair(prompt, " word")] for prompt in prompts]
        plan = model.plan_scoring(requests, block_size=4, batch_size=3)
        scores.append([s.logprob for (s,) in model.logprobs(plan, range(9))])
    assert scores[0] == pytest.approx(scores[1], rel=1e-4)
