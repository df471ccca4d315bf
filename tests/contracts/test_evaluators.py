"""One suite over every registered evaluator and every plug-in in evaluators/."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from evomerge.evaluation import EVALUATORS, SPLITS
from evomerge.recipes.declarations import load_plugin_file
from tests.fixtures_models import tiny_model

ROOT = Path(__file__).parents[2]
OF_NETWORKS = ("digits",)
"""They score no language models; see tests/evaluators."""
PLUGINS = ("arithmetic", "forgetting", "language_id", "negative_flips")
BUILT_IN = ("generation", "lm_eval", "log_likelihood", "multiple_choice", "perplexity")
MEASURED = ("latency",)
"""What it gives depends on the clock; see tests/evaluation/tasks/test_latency.py."""
SIZES = {"search": 11, "validation": 5, "test": 4}
SMALL = {"splits": SIZES, "block_size": 4, "batch_size": 3}

for plugin in (*PLUGINS, *OF_NETWORKS):
    load_plugin_file(ROOT / "evaluators" / f"{plugin}.py")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from evomerge.evaluation.language_model import LanguageModel

    folder = tmp_path_factory.mktemp("contract") / "llama"
    return LanguageModel.load(tiny_model("llama", folder, seed=4))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model to compare with."""
    return tiny_model("llama", tmp_path_factory.mktemp("reference") / "llama", seed=5)


@pytest.fixture
def options(
    tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], dict[str, Any]]:
    """Settings that each evaluator works with on the tiny model."""
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    records = [
        {
            "prompt": f"say {n} =",
            "answer": str(n),
            "text": f"the tale of {n} " * 3,
            "question": f"what is {n}?",
            "choices": ["red", "green", str(n)],
            "gold": n % 3,
            "score": n % 2,
        }
        for n in range(30)
    ]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(record) + "\n" for record in records))
    task = {
        "task": "colours",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
    }
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "colours.yaml").write_text(yaml.safe_dump(task))
    short = {"max_new_tokens": 5, **SMALL}
    known: dict[str, dict[str, Any]] = {
        "generation": {"data": str(data), **short},
        "lm_eval": {"task": "colours", "include_path": str(tmp_path / "tasks"), **SMALL},
        "log_likelihood": {"data": str(data), **SMALL},
        "multiple_choice": {"data": str(data), **SMALL},
        "perplexity": {"data": str(data), **SMALL},
        "arithmetic": {"n_problems": 60, **short},
        "forgetting": {"data": str(data), "reference_model": str(reference), **SMALL},
        "language_id": {"data": str(data), "language": "en", **short},
        "negative_flips": {
            "evaluator": {"type": "multiple_choice", "data": str(data), **SMALL},
            "reference": str(tmp_path / "reference.jsonl"),
        },
    }
    (tmp_path / "reference.jsonl").write_text(
        "".join(json.dumps({**r, "prompt": r["question"]}) + "\n" for r in records)
    )
    return lambda kind: known[kind]


def build(kind: str, options: dict[str, Any], seed: int = 0) -> Any:
    return EVALUATORS.get(kind).value("task", seed=seed, **options)


def test_the_suite_covers_everything_registered() -> None:
    assert set(EVALUATORS.names()) == {*PLUGINS, *BUILT_IN, *MEASURED, *OF_NETWORKS}


every = pytest.mark.parametrize("kind", [*BUILT_IN, *PLUGINS])


@pytest.mark.parametrize("kind", [*BUILT_IN, *PLUGINS, *MEASURED])
def test_declarations_have_help_and_defaults_that_pass(kind: str) -> None:
    declaration = EVALUATORS.declarations()[kind]
    assert declaration.summary.endswith(".")
    for parameter in declaration.parameters:
        assert parameter.help
        if not parameter.required:
            assert parameter.check(parameter.default) is None


@every
def test_scores_repeat_and_do_not_depend_on_order_or_subset(
    kind: str, options: Callable[[str], dict[str, Any]], model: Any
) -> None:
    made = build(kind, options(kind))
    prepared = made.prepare(model, "search")
    everything = made.score(model, prepared, range(11))
    assert made.score(model, prepared, range(11)) == everything
    assert made.score(model, prepared, range(10, -1, -1)) == everything[::-1]
    for block in (range(4), range(4, 8), range(8, 11)):
        assert made.score(model, prepared, block) == [everything[index] for index in block]
    assert made.score(model, prepared, [9, 2]) == [everything[9], everything[2]]
    again = build(kind, options(kind))
    assert again.score(model, again.prepare(model, "search"), range(11)) == everything


@every
def test_records_hold_every_metric_in_its_width(
    kind: str, options: Callable[[str], dict[str, Any]], model: Any
) -> None:
    made = build(kind, options(kind))
    assert made.primary in {metric.name for metric in made.metrics}
    for split in SPLITS:
        assert made.n_examples(split) == SIZES[split]
        indices = range(SIZES[split])
        records = made.score(model, made.prepare(model, split), indices)
        for metric in made.metrics:
            rows = [record.metrics[metric.name] for record in records]
            rows = [row if isinstance(row, tuple) else (row,) for row in rows]
            values = np.array(rows, dtype=float)
            assert values.shape == (len(records), metric.width)
            assert np.isfinite(values).all()
            if metric.binary:
                assert set(values.ravel()) <= {0.0, 1.0}
            total = made.aggregate(metric.name, values)
            assert math.isfinite(total)
            backward = made.aggregate(metric.name, values[::-1])
            assert backward == pytest.approx(total, rel=1e-12)
        shown = made.examples(split, indices)
        assert len({example.prompt for example in shown}) == len(shown)


@every
def test_fingerprints_repeat_and_follow_seed_and_settings(
    kind: str, options: Callable[[str], dict[str, Any]]
) -> None:
    given = options(kind)
    plain = build(kind, given).fingerprint()
    assert build(kind, given).fingerprint() == plain
    inner = given["evaluator"] if kind == "negative_flips" else given
    changed = {**inner, "splits": {**SIZES, "search": 12}}
    other = {**given, "evaluator": changed} if kind == "negative_flips" else changed
    assert build(kind, other).fingerprint() != plain
    assert build(kind, given, seed=1).fingerprint() != plain
