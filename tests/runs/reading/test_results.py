import subprocess
import sys
from pathlib import Path

import pytest

from evomerge.errors import LedgerError, RunFailedError
from evomerge.execution.protocol import Failure
from evomerge.runs.events import CandidateDone
from evomerge.runs.folder import make_folder, write_run
from evomerge.runs.reading.results import RunResults
from tests.runs.fakes import EVALUATORS, TWO, FakeRun, FakeWorker


def folder_of(fake: FakeRun) -> Path:
    path = fake.folder / "run"
    make_folder(path)
    write_run(path, run_id=fake.run_id, name="fake", ledger=fake.url, config="")
    return path


def test_a_run_without_results_has_an_empty_front(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path)
    fake.start()
    results = RunResults.open(folder_of(fake))
    assert results.front().to_dict() == {"front": [], "hypervolume": None}
    assert results.status().state == "interrupted"
    with pytest.raises(LedgerError, match="has no scored candidate yet"):
        results.best()


def test_the_front_is_by_search_scores_until_the_run_is_final(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=12, finalists=4)
    run = fake.start()
    best = -1.0
    for event in run.drive():
        if isinstance(event, CandidateDone):
            best = max(best, event.objectives["mean"])
            if event.candidate == "1-0":
                run.request_stop()
    path = folder_of(fake)
    results = RunResults.open(path)
    front = results.front()
    assert (front.split, front.final, len(front.entries)) == ("search", False, 1)
    assert front.entries[0].objectives["mean"].value == pytest.approx(best)
    status = results.status()
    assert (status.state, status.best) == ("stopped", {"mean": pytest.approx(best)})

    finished = list(fake.resume().drive())[-1]
    results = RunResults.open(path)
    front = results.front()
    assert (front.split, front.final) == ("validation", True)
    assert [entry.candidate for entry in front.entries] == [finished.best]
    value = front.entries[0].objectives["mean"]
    assert value.value == finished.objectives["mean"]
    assert value.low <= value.value <= value.high
    assert value.n == 32
    document = front.to_dict()
    assert set(document) == {"front", "hypervolume"}
    plain = document["front"][0]
    assert {"candidate", "recipe_hash", "objectives", "device_s", "marks", "scores"} <= set(plain)
    assert set(plain["objectives"]["mean"]) == {"value", "low", "high", "n"}
    status = results.status()
    assert (status.state, status.best_candidate, status.generations) == (
        "finished",
        finished.best,
        2,
    )


def test_values_are_raw_in_the_declared_direction(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=12, objectives=TWO)
    finished = list(fake.start().drive())[-1]
    results = RunResults.open(folder_of(fake))
    front = results.front()
    assert tuple(entry.candidate for entry in front.entries) == finished.front
    assert all(entry.objectives["far"].value > 0 for entry in front.entries)
    assert results.status().directions == {"near": "maximize", "far": "minimize"}


def test_a_candidate_shows_recipe_scores_and_failure(tmp_path: Path) -> None:
    failure = Failure("memory", "memory ran out", "trace")
    worker = FakeWorker(EVALUATORS, lambda job: failure if job.candidate_id == "0-1" else None)
    fake = FakeRun(tmp_path, budget=6, finalists=1, worker=worker)
    finished = list(fake.start().drive())[-1]
    results = RunResults.open(folder_of(fake))
    best = results.show("best")
    assert best.candidate == finished.best
    assert set(best.objectives) == {"search", "validation"}
    assert best.tasks["search"]["near"]["hit"].n == 20
    assert best.tasks["validation"]["far"]["distance"].n == 12
    assert (best.status, best.attempts, best.score_s) == ("done", 2, 1.5)
    weights = best.recipe["parameters"][0]["options"]["weights"]
    assert weights == list((best.genome or {}).values())
    failed = results.show("0-1")
    assert (failed.status, failed.failures, failed.objectives) == (
        "failed",
        {"search": failure},
        {},
    )
    with pytest.raises(LedgerError, match=r"no candidate '0-9'; did you mean '0-"):
        results.show("0-9")


def test_a_run_stopped_by_failures_says_why(tmp_path: Path) -> None:
    worker = FakeWorker(EVALUATORS, lambda job: Failure("exception", "merging: no such layer"))
    fake = FakeRun(tmp_path, worker=worker)
    with pytest.raises(RunFailedError, match="failed alike"):
        list(fake.start().drive())
    status = RunResults.open(folder_of(fake)).status()
    assert status.state == "failed"
    assert "merging: no such layer" in status.message


READ = """
import sys
from pathlib import Path
from evomerge.runs.reading.results import RunResults
results = RunResults.open(Path(sys.argv[1]))
results.status(), results.front(), results.show("best")
heavy = {"torch", "transformers", "lm_eval", "alembic", "pydantic"} & set(sys.modules)
print(sorted(heavy))
"""


def test_reading_a_run_imports_nothing_heavy(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, budget=6)
    list(fake.start().drive())
    done = subprocess.run(
        [sys.executable, "-c", READ, str(folder_of(fake))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[]\n", done.stderr
