"""A service over a fresh workspace, and a client that nothing is asked of."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from evomerge.runs.ledger.database import Ledger
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
def service_app(settings: Settings, empty_ledger: Path) -> Iterator[FastAPI]:
    """The application; nothing looks after its jobs."""
    settings.runs.mkdir()
    shutil.copy(empty_ledger, settings.runs / "ledger.db")
    app = create_app(settings)
    yield app
    app.state.service.close()


@pytest.fixture
def api(service_app: FastAPI) -> TestClient:
    """A client of it."""
    return TestClient(service_app, base_url="http://127.0.0.1", raise_server_exceptions=False)


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite ledger without rows, to copy: making one takes much longer."""
    file = tmp_path_factory.mktemp("empty") / "ledger.db"
    Ledger.open(f"sqlite:///{file}", create=True).close()
    return file


@pytest.fixture
def ledger(empty_ledger: Path, tmp_path: Path) -> Iterator[Ledger]:
    """A fresh SQLite ledger."""
    file = shutil.copy(empty_ledger, tmp_path / "ledger.db")
    with contextlib.closing(Ledger.open(f"sqlite:///{file}")) as opened:
        yield opened
