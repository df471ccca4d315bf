"""The metrics file is what Prometheus reads, whole at every moment."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from evomerge.execution.protocol import WorkerState
from evomerge.runs.events import Progress
from evomerge.runs.metrics import Snapshot, write_metrics
from evomerge.runs.reading.accounting import Spent

SNAPSHOT = Snapshot(
    name='toy "1"',
    run_id="ab12",
    progress=Progress(evaluated=7, failed=2, budget=20),
    spent=Spent(attempts=9, lost=2, merge_s=1, score_s=5, busy_s=8, wait_s=2, device_s=16),
    workers=(
        WorkerState("w1", "node", "cpu", "busy", busy_s=6, alive_s=8),
        WorkerState("w2", "node", "cpu", "idle", busy_s=2, alive_s=8),
        WorkerState("w3", "node", "cpu", "gone", busy_s=9, alive_s=9),
    ),
    best={"mean": 0.5, "size": -3.0},
    away_s=12.5,
    spooled=3,
)


def read(folder: Path) -> dict[tuple[str, str], float]:
    """Return (metric, value of its own label) → value; every sample must name the run."""
    found = {}
    for family in text_string_to_metric_families((folder / "metrics.prom").read_text()):
        assert family.documentation
        for sample in family.samples:
            labels = dict(sample.labels)
            assert (labels.pop("run"), labels.pop("run_id")) == ('toy "1"', "ab12")
            found[sample.name, next(iter(labels.values()), "")] = sample.value
    return found


def test_every_figure_is_there_under_its_name(tmp_path: Path) -> None:
    write_metrics(tmp_path, SNAPSHOT)
    found = read(tmp_path)
    stamp = found.pop(("evomerge_written_timestamp_seconds", ""))
    assert stamp > 1.7e9
    parts = ("merge", "score", "tokenise", "cut_off", "overhead", "wait")
    assert found == {
        ("evomerge_candidates_total", "done"): 5,
        ("evomerge_candidates_total", "failed"): 2,
        ("evomerge_budget", ""): 20,
        ("evomerge_attempts_total", ""): 9,
        ("evomerge_attempts_lost_total", ""): 2,
        ("evomerge_device_seconds_total", ""): 16,
        **{
            ("evomerge_seconds_total", part): value
            for part, value in zip(parts, (1, 5, 0, 0, 2, 2), strict=True)
        },
        ("evomerge_workers", "waiting"): 0,
        ("evomerge_workers", "starting"): 0,
        ("evomerge_workers", "idle"): 1,
        ("evomerge_workers", "busy"): 1,
        ("evomerge_worker_utilisation", ""): 0.5,
        ("evomerge_best", "mean"): 0.5,
        ("evomerge_best", "size"): -3.0,
        ("evomerge_ledger_away", ""): 1,
        ("evomerge_ledger_away_seconds", ""): 12.5,
        ("evomerge_spooled_results", ""): 3,
    }


def test_a_run_without_workers_and_scores_has_a_file_too(tmp_path: Path) -> None:
    write_metrics(tmp_path, Snapshot('toy "1"', "ab12", Progress(0, 0, 4)))
    found = read(tmp_path)
    assert found["evomerge_worker_utilisation", ""] == 0
    assert not any(name == "evomerge_best" for name, _ in found)
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.prom"]


def test_a_folder_that_cannot_be_written_costs_the_run_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="evomerge")
    write_metrics(tmp_path / "gone", SNAPSHOT)
    assert "metrics.prom can't be written: No such file" in caplog.text


def test_the_library_is_loaded_by_the_first_file_only() -> None:
    check = "import sys, evomerge.runs.metrics; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
