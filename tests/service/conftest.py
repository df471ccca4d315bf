"""A service over a fresh workspace, and a client that nothing is asked of."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from evomerge.service.app import create_app
from evomerge.service.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A workspace in a folder of its own, without tokens."""
    return Settings(
        ledger=f"sqlite:///{tmp_path}/runs/ledger.db",
        runs=tmp_path / "runs",
        roots=(tmp_path,),
        no_auth=True,
    )


@pytest.fixture
def service_app(settings: Settings) -> Iterator[FastAPI]:
    """The application; nothing looks after its jobs."""
    app = create_app(settings)
    yield app
    app.state.service.close()


@pytest.fixture
def api(service_app: FastAPI) -> TestClient:
    """A client of it."""
    return TestClient(service_app, base_url="http://127.0.0.1", raise_server_exceptions=False)
