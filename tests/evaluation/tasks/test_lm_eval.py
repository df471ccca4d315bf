"""The lm-eval adapter against lm_eval.simple_evaluate with HFLM, example by example."""

import json
import math
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from evomerge.errors import EvaluationError
from evomerge.evaluation import EVALUATORS, SPLITS, estimate_task

ALL = {"search": 0.5, "validation": 0.25, "test": 0.25}
WORDS = ("red", "green", "blue", "black", "white", "grey", "pink")


@pytest.fixture(autouse=True)
def _own_datasets_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))


@pytest.fixture(autouse=True)
def _no_machine_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare lm-eval its report about the machine, which takes seconds and is not compared."""
    import lm_eval.evaluator

    for name in ("add_env_info", "add_tokenizer_info"):
        monkeypatch.setattr(lm_eval.evaluator, name, lambda *arguments: None)
    monkeypatch.setattr(lm_eval.evaluator, "get_git_commit_hash", lambda: "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "tasks"
    made.mkdir()
    return made


def write_task(folder: Path, name: str, records: list[dict[str, Any]], **config: Any) -> None:
    """Write a task's YAML file and its data; few-shot examples come from a file of their own."""
    data = folder / f"{name}.jsonl"
    data.write_text("".join(json.dumps(record) + "\n" for record in records))
    shots = folder / f"{name}_shots.jsonl"
    shots.write_text("".join(json.dumps(record) + "\n" for record in records[:6]))
    task = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data), "train": str(shots)}},
        "test_split": "test",
        "fewshot_split": "train",
        **config,
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(task))


def choice_records(n: int, seed: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [
        {
            "question": f"{index}: {' '.join(rng.choices(WORDS, k=rng.randint(1, 6)))}?",
            "choices": rng.sample(WORDS, 4),
            "gold": rng.randrange(4),
        }
        for index in range(n)
    ]


def write_choice_task(folder: Path, name: str, n: int = 23, seed: int = 0, **more: Any) -> None:
    config = {
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}\nAnswer:",
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True}
            for metric in ("acc", "acc_norm")
        ],
    }
    write_task(folder, name, choice_records(n, seed), **(config | more))


def reference(model: Any, folder: Path, task: str, **arguments: Any) -> dict[str, Any]:
    """Return what lm-eval itself makes of ``task`` with the same model, in one batch."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(folder), include_defaults=False)
    hflm = HFLM(pretrained=model.model, tokenizer=model.tokenizer, batch_size=64)
    result = lm_eval.simple_evaluate(
        model=hflm, tasks=[task], task_manager=manager, bootstrap_iters=0, **arguments
    )
    assert result is not None
    return dict(result)


def score_all(model: Any, folder: Path, task: str, **options: Any) -> tuple[Any, dict[str, Any]]:
    """Score every split and return the evaluator and text of the prompt → record."""
    made = EVALUATORS.get("lm_eval").value(
        task, seed=5, task=task, include_path=str(folder), batch_size=64, block_size=64, **options
    )
    records = {}
    for split in SPLITS:
        indices = range(made.n_examples(split))
        scored = made.score(model, made.prepare(model, split), indices)
        shown = made.examples(split, indices)
        records.update({e.prompt: r for e, r in zip(shown, scored, strict=True)})
    return made, records


def values_of(records: Mapping[str, Any], metric: str) -> np.ndarray:
    rows = [record.metrics[metric] for record in records.values()]
    return np.array([row if isinstance(row, tuple) else (row,) for row in rows])


def test_multiple_choice_equals_lm_eval_on_every_example(language_model: Any, folder: Path) -> None:
    write_choice_task(folder, "colours", num_fewshot=2)
    theirs = reference(language_model, folder, "colours", num_fewshot=2)
    made, ours = score_all(language_model, folder, "colours", num_fewshot=2)
    samples = theirs["samples"]["colours"]
    assert len(ours) == len(samples) == 23
    assert len({sample["acc"] for sample in samples}) == 2, "both right and wrong answers occur"
    for sample in samples:
        record = ours[f"{sample['doc']['question']}\nAnswer:"]
        for metric in ("acc", "acc_norm"):
            assert record.metrics[metric] == sample[metric]
    for metric in ("acc", "acc_norm"):
        total = made.aggregate(metric, values_of(ours, metric))
        assert total == pytest.approx(theirs["results"]["colours"][f"{metric},none"], abs=1e-12)
    assert {metric.bounds for metric in made.metrics} == {(0.25, 1.0)}, "four choices each"


def test_log_likelihoods_equal_those_of_hflm(language_model: Any, folder: Path) -> None:
    write_choice_task(folder, "colours")
    theirs = reference(language_model, folder, "colours")["samples"]["colours"]
    made = EVALUATORS.get("lm_eval").value(
        "x", seed=0, task="colours", include_path=str(folder), block_size=64, batch_size=64
    )
    expected = {
        sample["doc"]["question"]: [response[0][0] for response in sample["resps"]]
        for sample in theirs
    }
    for split in SPLITS:
        prepared = made.prepare(language_model, split)
        found = prepared.respond(language_model, range(made.n_examples(split)), in_float32=False)
        for index, responses in enumerate(found):
            question = prepared.instances[index][0].doc["question"]
            sums = [response[0] for response, _, _ in responses]
            assert sums == pytest.approx(expected[question], rel=1e-4)


def answers_of(model: Any, prompts: list[str], limit: int) -> list[str]:
    """Return the greedy answers up to a newline, found by transformers' own generate."""
    import torch

    answers = []
    for prompt in prompts:
        tokens = torch.tensor([model.tokenizer.encode(prompt)])
        written = model.model.generate(tokens, max_new_tokens=limit, do_sample=False)
        text = model.tokenizer.decode(written[0, tokens.shape[1] :], skip_special_tokens=True)
        answers.append(text.split("e")[0])
    return answers


@pytest.mark.parametrize("shots", [0, 2])
def test_generate_until_equals_lm_eval_on_every_example(
    language_model: Any, folder: Path, shots: int
) -> None:
    questions = [f"{index} {WORDS[index % 7]} =" for index in range(21)]
    answers = answers_of(language_model, questions, limit=6)
    records = [
        {"question": question, "answer": answer if index % 3 else "no"}
        for index, (question, answer) in enumerate(zip(questions, answers, strict=True))
    ]
    write_task(
        folder,
        "writing",
        records,
        output_type="generate_until",
        doc_to_text="{{question}}",
        doc_to_target="{{answer}}",
        num_fewshot=shots,
        generation_kwargs={"until": ["e", "\n"], "max_gen_toks": 6, "do_sample": False},
        metric_list=[{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        filter_list=[
            {"name": "whole", "filter": [{"function": "take_first"}]},
            {
                "name": "first",
                "filter": [
                    {"function": "regex", "regex_pattern": "^(.)"},
                    {"function": "take_first"},
                ],
            },
        ],
    )
    theirs = reference(language_model, folder, "writing")
    made, ours = score_all(language_model, folder, "writing")
    samples = theirs["samples"]["writing"]
    assert [metric.name for metric in made.metrics] == ["exact_match,whole", "exact_match,first"]
    for sample in samples:
        record = ours[sample["doc"]["question"]]
        assert record.metrics[f"exact_match,{sample['filter']}"] == sample["exact_match"]
        assert record.answer == sample["resps"][0][0]
    if shots == 0:
        assert {sample["exact_match"] for sample in samples} == {0.0, 1.0}
    for key in ("whole", "first"):
        total = made.aggregate(f"exact_match,{key}", values_of(ours, f"exact_match,{key}"))
        assert total == pytest.approx(theirs["results"]["writing"][f"exact_match,{key}"])


def test_rolling_log_likelihood_equals_lm_eval(language_model: Any, folder: Path) -> None:
    rng = random.Random(1)
    texts = [" ".join(rng.choices(WORDS, k=k)) for k in (3, 10, 60, 90, 7, 25)]
    assert max(map(len, texts)) > 3 * language_model.encoder.max_length
    write_task(
        folder,
        "stories",
        [{"text": text} for text in texts],
        output_type="loglikelihood_rolling",
        doc_to_text="",
        doc_to_target="{{text}}",
        fewshot_split=None,
        metric_list=[
            {"metric": metric} for metric in ("word_perplexity", "byte_perplexity", "bits_per_byte")
        ],
    )
    theirs = reference(language_model, folder, "stories")
    made, ours = score_all(language_model, folder, "stories")
    for sample in theirs["samples"]["stories"]:
        record = ours[sample["doc"]["text"]]
        assert record.metrics["word_perplexity"] == pytest.approx(
            sample["word_perplexity"], rel=1e-4
        )
    for metric in made.metrics:
        assert metric.direction == "minimize"
        total = made.aggregate(metric.name, values_of(ours, metric.name))
        assert total == pytest.approx(theirs["results"]["stories"][f"{metric.name},none"], rel=1e-4)


def test_loglikelihood_task_equals_lm_eval(language_model: Any, folder: Path) -> None:
    records = [{"a": f"{index} {WORDS[index % 7]}", "b": WORDS[index % 3]} for index in range(9)]
    write_task(
        folder,
        "lambada",
        records,
        output_type="loglikelihood",
        doc_to_text="{{a}}",
        doc_to_target=" {{b}}",
        metric_list=[{"metric": "perplexity"}, {"metric": "acc"}],
    )
    theirs = reference(language_model, folder, "lambada")["results"]["lambada"]
    made, ours = score_all(language_model, folder, "lambada")
    for metric in ("perplexity", "acc"):
        total = made.aggregate(metric, values_of(ours, metric))
        assert total == pytest.approx(theirs[f"{metric},none"], rel=1e-4)


@pytest.mark.parametrize("weighted", [True, False])
def test_a_group_aggregates_as_lm_eval_does(
    language_model: Any, folder: Path, weighted: bool
) -> None:
    write_choice_task(folder, "near", n=19, seed=1)
    write_choice_task(folder, "far", n=8, seed=2)
    group = {
        "group": "space",
        "task": ["near", "far"],
        "aggregate_metric_list": [{"metric": "acc", "weight_by_size": weighted}],
    }
    (folder / "space.yaml").write_text(yaml.safe_dump(group))
    theirs = reference(language_model, folder, "space")
    made, ours = score_all(language_model, folder, "space")
    values = values_of(ours, "acc")
    assert values.shape == (27, 2)
    assert made.aggregate("acc", values) == pytest.approx(
        theirs["groups"]["space"]["acc,none"], abs=1e-12
    )
    parts = made.aggregate_tasks("acc", values)
    for task in ("near", "far"):
        assert parts[task] == pytest.approx(theirs["results"][task]["acc,none"], abs=1e-12)
    found = estimate_task(made, "acc", values)
    assert found.low < found.value < found.high
    for split in SPLITS:
        shown = made.prepare(language_model, split)
        assert set(shown.tasks) == {0, 1}, "each split holds both tasks"


def test_chat_template_and_system_prompt_reach_the_prompt(
    language_model: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_choice_task(folder, "colours")
    template = "{% for m in messages %}<{{m.role}}>{{m.content}}{% endfor %}<a>"
    monkeypatch.setattr(language_model.tokenizer, "chat_template", template)
    settings = {"num_fewshot": 1, "system_prompt": "Be kind"}
    theirs = reference(
        language_model,
        folder,
        "colours",
        num_fewshot=1,
        system_instruction="Be kind",
        apply_chat_template=True,
    )
    _, ours = score_all(language_model, folder, "colours", chat_template=True, **settings)
    for sample in theirs["samples"]["colours"]:
        assert sample["arguments"][0][0].startswith("<system>Be kind<user>")
        record = ours[f"{sample['doc']['question']}\nAnswer:"]
        assert record.metrics["acc"] == sample["acc"]


def test_global_random_state_stays_untouched(language_model: Any, folder: Path) -> None:
    write_choice_task(folder, "colours", num_fewshot=1)
    random.seed(11)
    np.random.seed(11)  # noqa: NPY002
    before = random.getstate()
    score_all(language_model, folder, "colours")
    assert random.getstate() == before
    random.seed(11)
    assert np.random.rand() == np.random.RandomState(11).rand()  # noqa: NPY002


def make(folder: Path, **options: Any) -> Any:
    return EVALUATORS.get("lm_eval").value("x", seed=0, include_path=str(folder), **options)


def test_unknown_task_names_the_nearest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from evomerge.evaluation import lm_eval_loading

    write_choice_task(folder, "colours")
    inner: Callable[..., Any] = lm_eval_loading._task_manager
    # Reading all of lm-eval's own task files would take 20 s.
    monkeypatch.setattr(
        lm_eval_loading, "_task_manager", lambda paths, defaults: inner(paths, defaults=False)
    )
    with pytest.raises(EvaluationError, match=r"no task, group or tag 'colors'. Nearest: colours"):
        make(folder, task="colors")


def test_unknown_metric_names_the_nearest(folder: Path) -> None:
    write_choice_task(folder, "colours")
    with pytest.raises(EvaluationError, match=r"no metric 'acc_nrm'; did you mean 'acc_norm'"):
        make(folder, task="colours", metric="acc_nrm")


def test_missing_include_path_is_named() -> None:
    with pytest.raises(EvaluationError, match="include_path nowhere is no folder"):
        make(Path("nowhere"), task="colours")


def test_sampling_is_refused(language_model: Any, folder: Path) -> None:
    write_task(
        folder,
        "writing",
        [{"q": f"{index}", "a": "b"} for index in range(12)],
        output_type="generate_until",
        doc_to_text="{{q}}",
        doc_to_target="{{a}}",
        generation_kwargs={"until": ["\n"], "do_sample": True, "temperature": 0.8},
    )
    with pytest.raises(EvaluationError, match="expected greedy decoding"):
        make(folder, task="writing").prepare(language_model, "search")
    greedy = {"do_sample": False, "temperature": 0.0, "max_gen_toks": 4}
    made = make(folder, task="writing", gen_kwargs=greedy)
    assert made.score(language_model, made.prepare(language_model, "search"), [0])


def test_fingerprint_follows_data_and_settings(folder: Path) -> None:
    write_choice_task(folder, "colours")
    plain = make(folder, task="colours").fingerprint()
    assert make(folder, task="colours").fingerprint() == plain
    assert make(folder, task="colours", num_fewshot=1).fingerprint() != plain
    write_choice_task(folder, "colours", seed=9)
    assert make(folder, task="colours").fingerprint() != plain


def test_metrics_of_several_numbers_are_restored_exactly() -> None:
    from evomerge.evaluation.lm_eval_metrics import encode, restore, shape_of

    value = (2, np.array([0.25, 0.5, 0.25]), [1, (3, 0.5)])
    shape = shape_of(value)
    assert shape is not None
    numbers = encode(shape, value, "brier_score")
    assert numbers == (2.0, 0.25, 0.5, 0.25, 1.0, 3.0, 0.5)
    assert restore(shape, numbers) == (2, [0.25, 0.5, 0.25], [1, (3, 0.5)])
    assert shape_of(("text", 1)) is None
    with pytest.raises(EvaluationError, match="expected 7 numbers"):
        encode(shape, (1, 2), "brier_score")


def test_hopeless_perplexity_is_infinite_rather_than_an_error() -> None:
    from evomerge.evaluation.lm_eval_metrics import aggregate_items

    class Task:
        def aggregation(self) -> dict[str, Any]:
            from lm_eval.api.metrics import perplexity

            return {"perplexity": perplexity}

    assert aggregate_items(Task(), "perplexity", [-1.0, -1.0]) == pytest.approx(math.e)
    assert aggregate_items(Task(), "perplexity", [-5000.0]) == math.inf


def write_mixed_group(folder: Path, sizes: tuple[int, ...]) -> None:
    """Write a group of choice tasks and one task of exact matches, without rules of its own."""
    for index, n in enumerate(sizes[:-1]):
        write_choice_task(folder, f"choice{index}", n=n, seed=index)
    write_task(
        folder,
        "writing",
        [{"q": f"{index} {WORDS[index % 7]}", "a": "b"} for index in range(sizes[-1])],
        output_type="generate_until",
        doc_to_text="{{q}}",
        doc_to_target="{{a}}",
        generation_kwargs={"until": ["\n"], "max_gen_toks": 2, "do_sample": False},
        metric_list=[{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    )
    members = [*(f"choice{index}" for index in range(len(sizes) - 1)), "writing"]
    group = {"group": "mixed", "task": members, "aggregate_metric_list": []}
    (folder / "mixed.yaml").write_text(yaml.safe_dump(group))


def test_a_group_of_different_metrics_has_intervals(language_model: Any, folder: Path) -> None:
    write_mixed_group(folder, (12, 2))
    made = make(folder, task="mixed")
    assert {metric.name for metric in made.metrics} == {"acc", "acc_norm", "exact_match"}
    requests = made.prepare(language_model, "all")
    records = dict(enumerate(made.score(language_model, requests, range(14))))
    for metric, n in (("acc", 12), ("acc_norm", 12), ("exact_match", 2)):
        values = values_of(records, metric)
        found = estimate_task(made, metric, values)
        assert found.n == n
        own = [row[1] for row in values.tolist() if (row[0] == 1) == (metric == "exact_match")]
        assert found.value == pytest.approx(sum(own) / n)
        assert 0 <= found.low <= found.value <= found.high <= 1


def test_a_metric_that_no_scored_example_has_is_missing(language_model: Any, folder: Path) -> None:
    write_mixed_group(folder, (12, 2))
    made = make(folder, task="mixed")
    values = np.array([[0.0, 1.0], [0.0, 0.0]])
    assert math.isnan(made.aggregate("exact_match", values))
    assert estimate_task(made, "exact_match", values).n == 0


def test_one_example_a_member_is_enough(language_model: Any, folder: Path) -> None:
    write_mixed_group(folder, (1, 1, 1, 1))
    made = make(folder, task="mixed")
    for split in (*SPLITS, "all"):
        n = made.n_examples(split)
        scored = made.score(language_model, made.prepare(language_model, split), range(n))
        records = dict(enumerate(scored))
        for metric in made.metrics:
            found = estimate_task(made, metric.name, values_of(records, metric.name))
            assert found.n == 0 or found.low <= found.value <= found.high


def test_the_whole_of_a_group_starts_with_every_member(language_model: Any, folder: Path) -> None:
    write_mixed_group(folder, (5, 4, 2))
    requests = make(folder, task="mixed").prepare(language_model, "all")
    assert list(requests.tasks) == [0, 1, 2, 0, 1, 2, 0, 1, 0, 1, 0]


def test_a_group_without_values_has_no_number() -> None:
    from evomerge.evaluation.lm_eval_metrics import aggregate_group

    assert math.isnan(aggregate_group(None, "acc,none", {}, {}))
