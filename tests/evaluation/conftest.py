"""A tiny model for evaluators, and data files that suit it."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures_models import tiny_model

WriteLines = Callable[[Sequence[Mapping[str, Any]]], str]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model("llama", tmp_path_factory.mktemp("evaluation") / "llama", seed=3)


@pytest.fixture(scope="session")
def language_model(tiny_folder: Path) -> Any:
    import torch

    from evomerge.evaluation.language_model import LanguageModel

    torch.set_num_threads(1)
    return LanguageModel.load(tiny_folder)


@pytest.fixture
def write_lines(tmp_path: Path) -> WriteLines:
    """Write records as JSON Lines and return the path."""
    count = 0

    def write(records: Sequence[Mapping[str, Any]]) -> str:
        nonlocal count
        count += 1
        path = tmp_path / f"data{count}.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return str(path)

    return write
