"""Tiny checkpoints of every family, made once for all tests of models."""

from pathlib import Path

import pytest

from tests.fixtures_models import FAMILIES, tiny_model


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOMERGE_CACHE", str(tmp_path / "evomerge-cache"))


@pytest.fixture(scope="session")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Family → folder of a tiny model with three layers, so that their order shows."""
    root = tmp_path_factory.mktemp("families")
    return {family: tiny_model(family, root / family, layers=3) for family in FAMILIES}


@pytest.fixture(scope="session")
def llama(families: dict[str, Path]) -> Path:
    return families["llama"]
