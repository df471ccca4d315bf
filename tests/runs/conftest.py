"""A workspace with three tiny models and two tasks, in which real runs take about a second."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures_models import tiny_model

NAMES = ("base", "left", "right")


@pytest.fixture(scope="session")
def tiny_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    for seed, name in enumerate(NAMES):
        tiny_model("llama", folder / name, seed=seed)
        (folder / name / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    for task, letters in (("copy", "abc"), ("next", "bcd")):
        lines = [
            json.dumps({"text": letters * (1 + index % 3) + str(index)}) for index in range(40)
        ]
        (folder / f"{task}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def workspace(tiny_sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a test, with the sources and data linked in."""
    for item in tiny_sources.iterdir():
        (tmp_path / item.name).symlink_to(item)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def raw_config() -> dict[str, Any]:
    """A run file on the workspace, as plain data: 4 genes, 6 candidates."""
    task = {"type": "perplexity", "splits": {"search": 8, "validation": 8, "test": 8}}
    return {
        "name": "tiny",
        "base": "base",
        "sources": {name: {"path": name} for name in NAMES},
        "recipe": {
            "parameters": [
                {
                    "method": "task_arithmetic",
                    "inputs": ["left", "right"],
                    "weights": {
                        "search": {"low": -0.5, "high": 1.5},
                        "granularity": "block:1",
                    },
                }
            ],
            "dtype": "float32",
        },
        "evaluators": {name: {**task, "data": f"{name}.jsonl"} for name in ("copy", "next")},
        "objectives": {
            "loss": {"from": ["copy", "next"], "aggregate": "mean", "direction": "minimize"}
        },
        "search": {
            "searcher": "random",
            "budget": 6,
            "seed": 0,
            "options": {"population": 4},
            "finalists": 2,
        },
        "ledger": "sqlite:///runs/ledger.db",
    }
