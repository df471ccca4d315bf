"""Working folders and runs for the commands."""

import os
import shutil
from pathlib import Path

import pytest

from evomerge.runs.folder import write_run
from tests.cli.workspace import make_workspace
from tests.runs.fakes import FakeRun


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run on formulas with 20 candidates that is final."""
    workspace = tmp_path_factory.mktemp("finished")
    fake = FakeRun(workspace)
    for _ in fake.start().drive():
        pass
    return make_run_folder(fake, workspace / "runs" / "toy")


def make_run_folder(fake: FakeRun, folder: Path) -> Path:
    """Write the folder of a fake run."""
    folder.mkdir(parents=True)
    ledger = f"sqlite:///{os.path.relpath(fake.folder / 'ledger.db')}"
    write_run(folder, run_id=fake.run_id, name="toy", ledger=ledger, config="{}\n")
    return folder


@pytest.fixture(scope="session")
def _made_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_workspace(tmp_path_factory.mktemp("workspace"))


@pytest.fixture
def workspace(_made_workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh working folder with tiny models, data and ``run.yaml``."""
    shutil.copytree(_made_workspace, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"
