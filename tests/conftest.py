"""Settings that all tests share: one thread, no network, no progress bars, hypothesis profiles."""

import os

# Before numpy and torch load: pycma on two BLAS threads is 38 times slower.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from evomerge.evaluation.protocol import EVALUATORS
from evomerge.execution.registry import EXECUTORS
from evomerge.merging.registry import METHODS
from evomerge.recipes.declarations import Registry
from evomerge.search.protocol import SEARCHERS
from tests.fixtures_postgres import (  # noqa: F401  fixtures for all tests
    _server,
    postgres_server,
    postgres_url,
)

settings.register_profile(
    "dev", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "ci",
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep hashes and statistics that tests cache out of the user's home."""
    monkeypatch.setenv("EVOMERGE_CACHE", str(tmp_path_factory.getbasetemp() / "evomerge-cache"))


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the width of the terminal, which pytest-xdist hands to its processes."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(autouse=True)
def _own_plugins() -> Iterator[None]:
    """Take back what a test registered by path, so that later tests see only what is built in."""
    registries: list[Registry[Any]] = [METHODS, EVALUATORS, SEARCHERS, EXECUTORS]
    before = [set(registry._plugins) for registry in registries]
    yield
    for registry, known in zip(registries, before, strict=True):
        for name, plugin in list(registry._plugins.items()):
            if name not in known and plugin.value.__module__.startswith("evomerge_plugin_"):
                del registry._plugins[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked ``gpu`` where there is no GPU, with the reason."""
    if not any("gpu" in item.keywords for item in items):
        return
    import torch

    if torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="no CUDA device on this machine"))
