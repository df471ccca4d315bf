"""Mergekit files are written by a process of their own, once each."""

import subprocess
from pathlib import Path

import pytest
import yaml

from evomerge.errors import ServiceError
from evomerge.service.reading import recipe_texts
from evomerge.service.reading.recipe_texts import MOST_WAITING, MergekitTexts
from tests.fixtures_models import tiny_model


def recipe(folder: Path, weight: float) -> dict[str, object]:
    inputs = [{"source": "left"}]
    stage = {"name": "merged", "method": "task_arithmetic", "base": "base", "inputs": inputs}
    return {
        "evomerge_recipe": 1,
        "base": "base",
        "sources": {
            name: {"path": str(folder / name), "sha256": "0" * 64} for name in ("base", "left")
        },
        "parameters": [stage | {"options": {"weights": [weight]}}],
        "dtype": "float32",
    }


def test_a_mergekit_file_is_written_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_model("llama", tmp_path / "base", seed=0)
    texts = MergekitTexts()
    text = texts.get(recipe(tmp_path, 0.5))
    plain = yaml.safe_load(text)
    assert plain["merge_method"] == "task_arithmetic"
    assert [item["model"] for item in plain["models"]] == [str(tmp_path / "left")]
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it was kept"))
    assert texts.get(recipe(tmp_path, 0.5)) == text


def test_many_at_once_are_told_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = MergekitTexts()
    refused: list[int] = []

    def write(_recipe: str) -> str:
        # As many wait as may, and one more comes.
        taken = 0
        while texts._places.acquire(blocking=False):
            taken += 1
        assert taken == MOST_WAITING - 1
        with pytest.raises(ServiceError) as caught:
            texts.get(recipe(tmp_path, 0.7))
        refused.append(caught.value.status)
        texts._places.release(taken)
        return "text"

    monkeypatch.setattr(recipe_texts, "_write", write)
    assert texts.get(recipe(tmp_path, 0.5)) == "text"
    assert refused == [503]
