"""MLflow and Weights & Biases themselves, on this machine's disk."""

from pathlib import Path
from typing import Any

import pytest

from evomerge.errors import MissingExtraError
from evomerge.runs.mirroring.feed import read_feed
from evomerge.runs.mirroring.mirror import mirror
from evomerge.runs.mirroring.mlflow import MlflowMirror
from evomerge.runs.mirroring.points import points_of
from evomerge.runs.mirroring.wandb import WandbMirror
from tests.runs.fakes import FakeRun
from tests.runs.mirroring.conftest import half


def test_steps_tell_the_best_so_far(fake: FakeRun, folder: Path) -> None:
    fake.drive()
    points = [(outcome, values) for outcome, values in points_of(read_feed(folder))]
    assert [outcome.number for outcome, _ in points] == list(range(12))
    near = [values["near"] for _, values in points if "near" in values]
    far = [values["far"] for _, values in points if "far" in values]
    assert len(near) == 10
    assert points[-1][1]["best/near"] == max(near)
    assert points[-1][1]["best/far"] == min(far)
    assert points[-1][1]["failed"] == 2


@pytest.mark.slow
def test_mlflow_gets_each_outcome_once(fake: FakeRun, folder: Path, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    url = f"sqlite:///{tmp_path}/mlflow.db"
    half(fake)
    (first,) = [n for _, n in mirror(folder, [MlflowMirror(url)])]
    list(fake.resume().drive())
    assert [n for _, n in mirror(folder, [MlflowMirror(url)])] == [12 - first]
    assert [n for _, n in mirror(folder, [MlflowMirror(url)])] == [0]

    client = mlflow.MlflowClient(tracking_uri=url)
    (run,) = client.search_runs([client.get_experiment_by_name("evomerge").experiment_id])
    assert run.info.run_name == "fake"
    assert run.info.status == "FINISHED"
    assert run.data.tags["evomerge.run_id"] == fake.run_id
    assert run.data.params["search.budget"] == "12"
    feed = read_feed(folder)
    history = client.get_metric_history(run.info.run_id, "near")
    assert [(item.step, item.value) for item in history] == [
        (outcome.number, outcome.values["near"]) for outcome in feed.outcomes if outcome.values
    ]


def test_wandb_gets_each_outcome(
    fake: FakeRun, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    fake.drive()
    target = WandbMirror("merges")
    assert [n for _, n in mirror(folder, [target])] == [12]
    assert target.where == f"merges/{fake.run_id}"
    summary: dict[str, Any] = dict(target._run.summary)
    last = list(points_of(read_feed(folder)))[-1][1]
    target.close()
    assert summary["best/near"] == last["best/near"]
    assert summary["failed"] == 2
    assert summary["state"] == "finished"
    assert list(tmp_path.glob("wandb/offline-run-*"))


@pytest.mark.parametrize("kind", [MlflowMirror, WandbMirror])
def test_a_missing_package_says_how_to_get_it(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("evomerge.errors.importlib.import_module", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'evomerge\[(mlflow|wandb)\]'"):
        kind("")
