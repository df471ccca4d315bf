"""Forgetting: none at the reference itself, worked values, other vocabularies, bad texts."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import EvaluationError
from evomerge.evaluation import EVALUATORS
from evomerge.recipes.declarations import load_plugin_file
from tests.fixtures_models import tiny_model

load_plugin_file(Path(__file__).parents[2] / "evaluators" / "forgetting.py")
SIZES = {"search": 6, "validation": 3, "test": 3}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("forgetting")
    return [tiny_model("llama", root / str(seed), seed=seed) for seed in (1, 2)]


def make(tmp_path: Path, reference: Path, texts: list[str]) -> Any:
    data = tmp_path / "general.jsonl"
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    options = {"data": str(data), "reference_model": str(reference), "splits": SIZES}
    return EVALUATORS.get("forgetting").value("memory", seed=0, **options)


def texts() -> list[str]:
    rng = np.random.default_rng(0)
    return ["".join(rng.choice(list("abcdefgh "), 10 + 3 * index)) for index in range(12)]


def plugin_module() -> Any:
    """The plug-in's own namespace, whatever name it was loaded under."""
    return sys.modules[EVALUATORS.get("forgetting").value.__module__]


def load(folder: Path) -> Any:
    from evomerge.evaluation.language_model import LanguageModel

    return LanguageModel.load(folder)


def test_the_reference_has_forgotten_nothing(tmp_path: Path, folders: list[Path]) -> None:
    model = load(folders[0])
    evaluator = make(tmp_path, folders[0], texts())
    records = evaluator.score(model, evaluator.prepare(model, "search"), range(6))
    assert len(records) == 6
    for record in records:
        assert record.metrics["kl"] == pytest.approx(0, abs=1e-6)
        assert record.metrics["kept"] == pytest.approx(1, abs=1e-5)


def test_another_model_has(
    tmp_path: Path, folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no tokens are lumped together the divergence is the exact one."""
    monkeypatch.setattr(plugin_module(), "LIKELIEST", 10_000)
    reference, model = load(folders[0]), load(folders[1])
    evaluator = make(tmp_path, folders[0], texts())
    records = evaluator.score(model, evaluator.prepare(model, "search"), [2, 4])
    for index, record in zip([2, 4], records, strict=True):
        text = evaluator.items("search")[index].prompt
        ids = torch.tensor([[model.encoder.prefix_id, *model.encoder.encode(text)]])
        with torch.inference_mode():
            p, q = (
                item.model(ids).logits[0, :-1].double().log_softmax(-1)
                for item in (reference, model)
            )
        exact = float((p.exp() * (p - q)).sum(-1).mean())
        assert record.metrics["kl"] == pytest.approx(exact, rel=1e-3, abs=1e-5)
        assert record.metrics["kept"] == pytest.approx(math.exp(-exact / 0.5), rel=1e-3)
        assert record.tokens == ids.shape[1] - 1


@given(st.integers(0, 1000), st.integers(2, 80))
def test_the_divergence_is_a_bound_from_below(seed: int, size: int) -> None:
    """Lumping tokens together can only hide a difference, and never makes it negative."""
    module = plugin_module()
    torch.manual_seed(seed)
    p, q = (torch.randn(3, size).log_softmax(-1) for _ in range(2))
    found = module.divergence(module._likeliest(p), q)
    exact = (p.exp() * (p - q)).sum(-1)
    assert found.shape == (3,)
    assert bool((found >= 0).all())
    assert bool((found <= exact + 1e-4).all())


def test_a_reference_of_other_tokens_is_refused(tmp_path: Path, folders: list[Path]) -> None:
    model = load(folders[1])
    vocabulary = dict(model.tokenizer.get_vocab())
    model.tokenizer.get_vocab = lambda: {f"{token}x": at for token, at in vocabulary.items()}
    evaluator = make(tmp_path, folders[0], texts())
    with pytest.raises(EvaluationError, match="reference of the same vocabulary"):
        evaluator.prepare(model, "search")


def test_an_empty_text_is_refused(tmp_path: Path, folders: list[Path]) -> None:
    with pytest.raises(EvaluationError, match=r"general\.jsonl:3: 'text' is empty"):
        make(tmp_path, folders[0], ["a", "b", "", *texts()])


def test_another_reference_is_another_task(tmp_path: Path, folders: list[Path]) -> None:
    prints = {make(tmp_path, folder, texts()).fingerprint() for folder in folders}
    assert len(prints) == 2
