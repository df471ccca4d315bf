"""The flip plug-in: worked values, the identity with accuracy, references of both kinds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.errors import EvaluationError
from evomerge.evaluation import EVALUATORS
from evomerge.recipes.declarations import load_plugin_file
from tests.fixtures_models import tiny_model

load_plugin_file(Path(__file__).parents[2] / "evaluators" / "negative_flips.py")

RECORDS = [
    {
        "question": f"what is {n}?",
        "choices": [f"{n:02}", f"{7 * n % 100:02}", f"{97 - n}"],
        "gold": n % 3,
    }
    for n in range(1, 25)
]
SIZES = {"search": 8, "validation": 8, "test": 8}


def write(path: Path, records: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def inner(tmp_path: Path, **options: Any) -> dict[str, Any]:
    data = write(tmp_path / "data.jsonl", RECORDS)
    return {"type": "multiple_choice", "data": data, "splits": SIZES, **options}


def make(**options: Any) -> Any:
    return EVALUATORS.get("negative_flips").value("task", seed=0, **options)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("flips")
    return [tiny_model("llama", root / str(seed), seed=seed) for seed in (1, 2)]


@pytest.fixture(scope="module")
def model(folders: list[Path]) -> Any:
    from evomerge.evaluation.language_model import LanguageModel

    return LanguageModel.load(folders[0])


def test_flips_match_the_worked_example(
    tmp_path: Path, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Reference right on 11100101, model right on 10110110: two flips each way in eight.
    plain = EVALUATORS.get("multiple_choice").value(
        "x", seed=0, **{k: v for k, v in inner(tmp_path).items() if k != "type"}
    )
    prompts = {
        split: [e.prompt for e in plain.examples(split, range(8))]
        for split in ("search", "validation", "test")
    }
    scores = dict(zip(prompts["search"], map(int, "11100101"), strict=True))
    lines = [{"prompt": p, "score": scores.get(p, 0)} for found in prompts.values() for p in found]
    made = make(evaluator=inner(tmp_path), reference=write(tmp_path / "reference.jsonl", lines))
    model_right = [float(digit) for digit in "10110110"]
    original = made._inner.score

    def fixed(*arguments: Any) -> Any:
        records = original(*arguments)
        for record, right in zip(records, model_right, strict=True):
            record.metrics["acc"] = right
        return records

    monkeypatch.setattr(made._inner, "score", fixed)
    records = made.score(model, made.prepare(model, "search"), range(8))
    kept = [record.metrics["kept"] for record in records]
    gained = [record.metrics["gained"] for record in records]
    assert kept == [1, 0, 1, 1, 1, 1, 1, 0]
    assert gained == [0, 0, 0, 1, 0, 0, 1, 0]
    assert made.aggregate("kept", np.array(kept)[:, None]) == 0.75


def test_accuracy_differs_from_the_references_by_gains_minus_flips(
    tmp_path: Path, model: Any, folders: list[Path]
) -> None:
    from evomerge.evaluation.language_model import LanguageModel

    made = make(evaluator=inner(tmp_path), reference_model=str(folders[1]))
    records = made.score(model, made.prepare(model, "search"), range(8))
    kept = np.mean([record.metrics["kept"] for record in records])
    gained = np.mean([record.metrics["gained"] for record in records])
    accuracy = []
    for one in (model, LanguageModel.load(folders[1])):
        scored = made._inner.score(one, made._inner.prepare(one, "search"), range(8))
        accuracy.append(np.mean([record.metrics["acc"] for record in scored]))
    assert accuracy[0] - accuracy[1] == pytest.approx(gained - (1 - kept), abs=1e-12)
    assert kept < 1, "the two models differ somewhere"


def test_a_model_never_flips_against_itself(
    tmp_path: Path, model: Any, folders: list[Path]
) -> None:
    made = make(evaluator=inner(tmp_path), reference_model=str(folders[0]))
    for split in SIZES:
        records = made.score(model, made.prepare(model, split), range(8))
        assert {record.metrics["kept"] for record in records} == {1.0}
        assert {record.metrics["gained"] for record in records} == {0.0}


def test_fingerprint_follows_the_reference_model(tmp_path: Path, folders: list[Path]) -> None:
    prints = {
        make(evaluator=inner(tmp_path), reference_model=str(folder)).fingerprint()
        for folder in folders
    }
    assert len(prints) == 2


def test_stored_answers_are_graded_by_the_watched_evaluator(tmp_path: Path, model: Any) -> None:
    questions = [{"prompt": f"{n} =", "answer": str(n)} for n in range(24)]
    answers = [{"prompt": f"{n} =", "answer": str(n if n % 2 else -1)} for n in range(24)]
    watched = {
        "type": "generation",
        "data": write(tmp_path / "questions.jsonl", questions),
        "splits": SIZES,
        "max_new_tokens": 4,
    }
    made = make(evaluator=watched, reference=write(tmp_path / "answers.jsonl", answers))
    _, reference = made.prepare(model, "test")
    shown = made.examples("test", range(8))
    assert reference == [float(int(example.expected) % 2) for example in shown]
    on_search = [int(e.expected) % 2 for e in made.examples("search", range(8))]
    kept, gained = made.metrics
    assert kept.bounds == (1 - sum(on_search) / 8, 1.0), "all that the reference can may be lost"
    assert gained.bounds == (0.0, 1.0)


def test_mistakes_are_one_clear_error(tmp_path: Path) -> None:
    watched = inner(tmp_path)
    with pytest.raises(EvaluationError, match="give either reference"):
        make(evaluator=watched)
    short = write(tmp_path / "short.jsonl", [{"prompt": "what is 1?", "score": 1}])
    with pytest.raises(EvaluationError, match=r"short.jsonl has no line for the prompt 'what is"):
        make(evaluator=watched, reference=short)
    wrong = write(tmp_path / "wrong.jsonl", [{"prompt": "what is 1?", "score": 7}])
    with pytest.raises(EvaluationError, match="7 is no score; expected a number from 0 to 1"):
        make(evaluator=watched, reference=wrong)
    with pytest.raises(EvaluationError, match=r"evaluator\.type is missing"):
        make(evaluator={}, reference=short)
    with pytest.raises(EvaluationError, match="has no metric 'accuracy'"):
        make(evaluator=watched, metric="accuracy", reference=short)
    stored = write(
        tmp_path / "stored.jsonl", [{"prompt": r["question"], "answer": "red"} for r in RECORDS]
    )
    with pytest.raises(EvaluationError, match="can only be graded where the model writes"):
        make(evaluator=watched, reference=stored)
