"""``status`` with its accounts and workers, ``scale``, and what ``show`` tells of attempts."""

import re
from pathlib import Path

import pytest

from evomerge.execution.protocol import LOST, Failure, WorkerState
from evomerge.runs.events import Progress, Stopped
from evomerge.runs.folder import driver_lock
from evomerge.runs.ledger.rows import AttemptRecord
from tests.cli.commands import call, call_json, mistake
from tests.cli.conftest import make_run_folder
from tests.runs.fakes import FakeRun
from tests.runs.reading.test_status import change, writer

DETAIL = "exit SIGKILL\nmemory 1.9 GB\nlast lines:\n  loading\n"


@pytest.fixture
def fake(tmp_path: Path) -> FakeRun:
    """A run with a candidate that lost an attempt and then failed."""
    made = FakeRun(tmp_path)
    run = made.start()
    next(event for event in run.drive() if event.kind == "candidate_done")
    make_run_folder(made, tmp_path / "runs" / "toy")
    died = Failure(LOST, "worker ended by SIGKILL while merging", DETAIL)
    for number, status in ((1, "lost"), (2, "failed")):
        record = AttemptRecord(
            "0-5", "search", number, died, busy_s=90.0, wait_s=10.0, devices=2.0, worker="w1",
            lost=status == "lost",
        )  # fmt: skip
        assert writer(made).add_attempt(record, (), {}, None)
    price = '{"cost_per_device_hour": 36, "executor": "local"}'
    change(made, "UPDATE run SET config = json_set(config, '$.execution', json(?))", price)
    return made


def folder(fake: FakeRun) -> Path:
    return fake.folder / "runs" / "toy"


def test_status_tells_what_the_run_has_taken(fake: FakeRun) -> None:
    found = call_json("status", folder(fake))["accounting"]
    assert found["attempts"] == 3
    assert found["lost"] == 1
    assert found["device_s"] == pytest.approx(360, abs=5)
    assert found["cost"] == pytest.approx(4.0, abs=0.1)
    out, _ = call("status", folder(fake))
    assert "3, 1 of them lost with their worker" in out
    assert "device time    6 min 0" in out
    assert "cost           4.0" in out
    # The one candidate that was really worked on has taken a moment too.
    assert re.search(r"cut off (8\d|90)\.\d%", out)
    assert re.search(r"wait (9|10)\.\d%", out)


def test_status_of_a_run_that_was_told_to_stop_says_by_what(fake: FakeRun) -> None:
    event = Stopped(Progress(1, 0, 20), "disk", "0.4 GB are left on /data. Make room.")
    writer(fake).decide("stop", {"reason": "disk"}, event)
    out, _ = call("status", folder(fake))
    assert "stopped (disk)" in out
    assert "0.4 GB are left on /data. Make room." in out
    assert "evomerge resume" in out


def test_workers_are_listed_on_request(fake: FakeRun) -> None:
    states = [
        WorkerState("w2", "n1", "cuda:0", "busy", "0-1", 2, 75.0, 4, 6.0, 8.0, 2 * 10**9),
        WorkerState("w1", "n2", "cuda:1", "gone", reason="its node is gone"),
    ]
    change(fake, "DELETE FROM worker")
    writer(fake).store_workers(states)
    assert "No driver is at work" in call("status", folder(fake), "--workers")[1]
    with driver_lock(folder(fake)):
        out, _ = call("status", folder(fake), "--workers")
        document = call_json("status", folder(fake))
    assert "1 busy, 1 gone" in out
    for text in ("0-1 (attempt 2)", "1 min 15 s", "75%", "2 GB", "its node is gone", "cuda:0"):
        assert text in out
    assert [worker["worker"] for worker in document["workers"]] == ["w2", "w1"]
    assert document["state"] == "running"


def test_show_lists_attempts_with_reasons_and_on_request_all_that_is_known(fake: FakeRun) -> None:
    out, _ = call("show", folder(fake), "0-5")
    assert "died: worker ended by SIGKILL while merging" in out
    assert "360.00 s" in out
    assert "lost" in out
    assert "memory 1.9 GB" not in out
    out, _ = call("show", folder(fake), "0-5", "--detail")
    assert out.count("memory 1.9 GB") == 2
    found = call_json("show", folder(fake), "0-5")
    assert [item["lost"] for item in found["tries"]] == [True, False]
    assert found["tries"][0]["failure"] == {
        "kind": "died",
        "message": "worker ended by SIGKILL while merging",
        "detail": DETAIL,
    }
    assert (found["device_s"], found["cost"]) == (360.0, 3.6)


def test_scale_asks_the_driver_and_is_refused_without_one(fake: FakeRun) -> None:
    (line,) = mistake("scale", folder(fake), "3")
    assert "nobody drives it" in line
    with driver_lock(folder(fake)):
        found = call_json("scale", folder(fake), "3")
        assert "Asked for 2 workers; " in call("scale", folder(fake), "2")[1]
        assert "Asked for 1 worker; " in call("scale", folder(fake), "1")[1]
    assert (found["request"], found["workers"]) == (1, 3)
    assert [row.body["workers"] for row in fake.records().requests()] == [3, 2, 1]
