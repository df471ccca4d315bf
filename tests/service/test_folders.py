"""The runs of a workspace."""

from pathlib import Path

import pytest

from evomerge.errors import ServiceError
from evomerge.runs.folder import write_run
from evomerge.service.folders import Folders


def make(runs: Path, name: str) -> Path:
    folder = runs / name
    folder.mkdir(parents=True)
    write_run(folder, run_id=f"id-{name}", name=name, ledger="sqlite:///x.db", config="{}\n")
    return folder


def test_runs_come_and_go(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "runs")
    assert folders.all() == []
    one = make(tmp_path / "runs", "one")
    make(tmp_path / "runs", "two")
    assert [item.name for item in folders.all()] == ["one", "two"]
    assert folders.find("id-one").path == one
    (one / "run.json").unlink()
    with pytest.raises(ServiceError, match="no run 'id-one'") as error:
        folders.find("id-one")
    assert error.value.status == 404


def test_what_is_no_run_is_left_out(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    make(runs, ".jobs")
    (make(runs, "broken") / "run.json").write_text("{")
    make(runs, "good")
    folders = Folders(runs)
    assert [item.name for item in folders.all()] == ["good"]
    write_run(runs / "broken", run_id="b", name="mended", ledger="sqlite:///x.db", config="{}\n")
    assert [item.name for item in folders.all()] == ["mended", "good"]
