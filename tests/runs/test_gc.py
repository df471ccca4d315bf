import os
import time
from pathlib import Path

import pytest

from evomerge.models import cache
from evomerge.runs.folder import driver_lock, write_run
from evomerge.runs.gc import collect
from evomerge.runs.ledger import driving
from evomerge.runs.ledger.database import Ledger
from tests.runs.fakes import BINARY, FakeRun

HOUR, DAY = 3600.0, 86400.0


def old(path: Path, age_s: float) -> Path:
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


def write(path: Path, n_bytes: int = 100, *, age_s: float = 2 * HOUR) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * n_bytes)
    return old(path, age_s)


@pytest.fixture
def fake(tmp_path: Path) -> FakeRun:
    return FakeRun(tmp_path, budget=2, finalists=1, evaluators=BINARY)


@pytest.fixture
def run_folder(fake: FakeRun, tmp_path: Path) -> Path:
    """Folder of a finished run with everything that a run may leave."""
    for _ in fake.start().drive():
        pass
    folder = tmp_path / "runs" / "toy"
    folder.mkdir(parents=True)
    write_run(folder, run_id="run1", name="toy", ledger=fake.url, config="{}\n")
    write(folder / "config.yaml.partial")
    write(folder / "spool" / "0-0.npz")
    write(folder / "workers" / "w1.log", age_s=3 * HOUR)
    write(folder / "workers" / "w2.log", age_s=HOUR)
    write(folder / "log.txt")
    (folder / "driver.lock").touch()
    return folder


def found(*places: Path, dry_run: bool = True, days: float = 30) -> list[str]:
    return [i.path.name for i in collect(places, older_than_days=days, dry_run=dry_run).garbage]


def test_a_finished_run_keeps_all_but_what_nobody_needs(run_folder: Path, tmp_path: Path) -> None:
    before = {path.name for path in run_folder.rglob("*")}
    assert found(tmp_path) == ["config.yaml.partial", "spool", "w1.log"]
    assert {path.name for path in run_folder.rglob("*")} == before
    collection = collect([tmp_path], older_than_days=30, dry_run=False)
    assert collection.removed
    assert collection.n_bytes == 300
    gone = before - {path.name for path in run_folder.rglob("*")}
    assert gone == {"config.yaml.partial", "spool", "0-0.npz", "w1.log"}
    assert found(tmp_path) == []


def test_an_unfinished_run_keeps_its_spool_and_logs(
    fake: FakeRun, run_folder: Path, tmp_path: Path
) -> None:
    run = fake.resume()
    run.extend(4)
    run.records.ledger.close()
    assert found(tmp_path, dry_run=False) == ["config.yaml.partial"]
    assert (run_folder / "spool" / "0-0.npz").exists()


def test_a_run_that_is_driven_is_left_alone(run_folder: Path, tmp_path: Path) -> None:
    with driver_lock(run_folder):
        collection = collect([tmp_path], older_than_days=30, dry_run=False)
    assert collection.garbage == []
    assert "drives the run" in collection.kept[0]


def test_a_run_that_another_machine_drives_is_left_alone(
    fake: FakeRun, run_folder: Path, tmp_path: Path
) -> None:
    ledger = Ledger.open(fake.url)
    driving.claim(ledger, "run1", holder="far:7")
    ledger.close()
    collection = collect([run_folder], older_than_days=30, dry_run=False)
    assert collection.garbage == []
    assert "far:7 drives it" in collection.kept[0]


def test_a_run_whose_ledger_is_gone_is_left_alone(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "ledger.db").unlink()
    collection = collect([tmp_path / "runs"], older_than_days=30, dry_run=False)
    assert collection.garbage == []
    assert "does not exist" in collection.kept[0]


def test_only_killed_exports_go_and_only_when_nobody_writes_to_them(tmp_path: Path) -> None:
    killed = write(tmp_path / "merged" / ".best.0a1b2c3d.partial" / "model.safetensors", 500)
    old(killed.parent, 2 * HOUR)
    write(tmp_path / ".recipe.yaml.partial")
    write(tmp_path / ".copy.db.0a1b2c3d.partial-wal")
    alive = write(tmp_path / "merged" / ".other.99999999.partial" / "model.safetensors", age_s=5)
    old(alive.parent, 2 * HOUR)
    write(tmp_path / "download.partial")
    write(tmp_path / ".best.partial")
    write(tmp_path / "best" / "model.safetensors")
    gone = [".copy.db.0a1b2c3d.partial-wal", ".recipe.yaml.partial", ".best.0a1b2c3d.partial"]
    assert found(tmp_path, dry_run=False) == gone
    left = {path.name for path in tmp_path.rglob("*")}
    assert left == {"best", "merged", "download.partial", ".best.partial", "model.safetensors",
                    alive.parent.name}  # fmt: skip
    assert alive.exists()


def test_figures_in_the_cache_go_once_nobody_has_used_them_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVOMERGE_CACHE", str(tmp_path / "cache"))
    cache.keep("sha256", "old", "a")
    cache.keep("sha256", "new", "b")
    unused = old(next((tmp_path / "cache" / "sha256").iterdir()), 31 * DAY)
    write(tmp_path / "cache" / "statistics" / "tmp1.partial")
    write(tmp_path / "cache" / "statistics" / "lock", age_s=31 * DAY)
    write(tmp_path / "cache" / "statistics" / "gram-1.npy", age_s=31 * DAY)
    gone = sorted([unused.name, "gram-1.npy", "tmp1.partial"])
    assert sorted(found(days=32)) == ["tmp1.partial"]
    assert sorted(found(days=30, dry_run=False)) == gone
    known = [cache.recall("sha256", key) for key in ("old", "new")]
    assert known.count(None) == 1
    assert (tmp_path / "cache" / "statistics" / "lock").exists()
