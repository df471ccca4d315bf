"""The jobs' supervisor: kills at any point, queues, pauses, cancels, quotas, crashes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.service.access import Access
from evomerge.service.jobs import supervisor
from evomerge.service.jobs.locks import is_locked, try_lock
from evomerge.service.jobs.supervisor import CRASHES, Supervisor, log_of
from evomerge.service.jobs.table import Job, Jobs
from evomerge.service.quotas import over_quota
from evomerge.service.settings import Settings
from evomerge.service.tokens import Role
from tests.runs.fakes import FakeRun
from tests.service.jobs.test_table import new

PROGRAM = Path(__file__).with_name("killed_service.py")
ROOT = Path(__file__).parents[3]
LIMIT_S = 120.0


def killed(folder: Path, who: str, *points: int) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), who, *map(str, points)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("who", "names"),
    [
        ("service", ("after:job", "job begun", "job spawned", "job settles", "after:job change")),
        ("job", ("job held", "after:run", "before:run.json", "before:attempt", "job done")),
    ],
)
def test_a_kill_at_any_point_loses_doubles_and_orphans_nothing(
    tmp_path: Path, who: str, names: tuple[str, ...]
) -> None:
    whole = killed(tmp_path, who)
    assert isinstance(whole["names"], list)
    (tmp_path / "expected.json").write_text(json.dumps(whole["picture"]))
    points = [whole["names"].index(name) + 1 for name in names]
    assert killed(tmp_path, who, *points) == {"different": {str(p): [] for p in points}}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(ledger=f"sqlite:///{tmp_path}/ledger.db", runs=tmp_path / "runs")


class Sleepers(Supervisor):
    """Its processes sleep until they are told to end, whatever the job is."""

    script = "import time; time.sleep(600)"

    def _spawn(self, job: Job, lock: int) -> "subprocess.Popen[bytes]":
        child = subprocess.Popen(
            [sys.executable, "-c", self.script], pass_fds=(lock,), start_new_session=True
        )
        self._jobs.hold(job.job_id, f"{os.uname().nodename}:{child.pid}")
        return child


@pytest.fixture
def looking(ledger: Ledger, settings: Settings) -> Iterator[Sleepers]:
    made = Sleepers(settings, ledger)
    yield made
    for child in made._children:
        child.kill()
        child.wait()


def until(looking: Supervisor, found: Callable[[], bool]) -> None:
    """Let the supervisor work until something holds."""
    end = time.monotonic() + LIMIT_S
    while not found():
        assert time.monotonic() < end
        looking.tick()
        time.sleep(0.01)


def states(jobs: Jobs, *job_ids: str) -> list[str]:
    return [jobs.get(job_id).state for job_id in job_ids]


def test_so_many_run_at_a_time_and_exports_beside_them(ledger: Ledger, looking: Sleepers) -> None:
    jobs = Jobs(ledger)
    a, b = (jobs.add(new())[0].job_id for _ in range(2))
    x, y = (jobs.add(new("export"))[0].job_id for _ in range(2))
    looking.tick()
    looking.tick()
    assert states(jobs, a, b, x, y) == ["running", "queued", "running", "queued"]
    jobs.cancel(x)
    until(looking, lambda: states(jobs, x, y) == ["cancelled", "running"])
    assert states(jobs, a, b) == ["running", "queued"]


def test_processes_outlive_their_supervisor_and_are_found_again(
    ledger: Ledger, looking: Sleepers, settings: Settings
) -> None:
    jobs = Jobs(ledger)
    job_id = jobs.add(new())[0].job_id
    looking.tick()
    other = Sleepers(settings, ledger)
    other.tick()
    assert states(jobs, job_id) == ["running"]
    assert jobs.get(job_id).starts == 1
    assert is_locked(settings.jobs, job_id)
    looking._children[0].kill()
    looking._children[0].wait()
    assert not is_locked(settings.jobs, job_id)


def test_a_process_that_dies_again_and_again_is_given_up(
    ledger: Ledger, looking: Sleepers, settings: Settings
) -> None:
    jobs = Jobs(ledger)
    job_id = jobs.add(new())[0].job_id
    looking.script = "raise SystemExit(1)"
    settings.jobs.mkdir(parents=True)
    log_of(settings, job_id).write_text("loading\nMemoryError: 7 GB\n")
    until(looking, lambda: jobs.get(job_id).ended)
    found = jobs.get(job_id)
    assert (found.state, found.starts) == ("failed", CRASHES)
    assert found.message == (
        "its process ended 3 times without getting any further. Its last words: MemoryError: 7 GB"
    )
    assert jobs.resume(job_id).crashes == 0


@pytest.mark.parametrize(
    ("wanted", "outcome", "state", "message"),
    [
        ("run", {"state": "finished"}, "finished", ""),
        ("cancel", {"state": "finished"}, "finished", ""),
        ("run", {"state": "failed", "message": "no such file"}, "failed", "no such file"),
        ("run", {"state": "stopped", "reason": "signal"}, "queued", ""),
        ("run", {"state": "stopped", "reason": "disk", "message": "full"}, "failed", "full"),
        ("pause", {"state": "stopped", "reason": "pause"}, "paused", ""),
        ("pause", None, "paused", ""),
        ("cancel", {"state": "stopped", "reason": "cancel"}, "cancelled", ""),
        ("cancel", None, "cancelled", ""),
    ],
)
def test_a_job_is_settled_by_what_its_process_said(
    ledger: Ledger,
    settings: Settings,
    wanted: str,
    outcome: dict[str, str] | None,
    state: str,
    message: str,
) -> None:
    jobs = Jobs(ledger)
    job_id = jobs.add(new())[0].job_id
    jobs.begin(job_id)
    if wanted != "run":
        getattr(jobs, wanted)(job_id)
    if outcome is not None:
        jobs.tell(job_id, outcome)
    told: list[str] = []
    Sleepers(settings, ledger, changed=lambda job: told.append(job.state))._settle(jobs.get(job_id))
    found = jobs.get(job_id)
    assert (found.state, found.message) == (state, message)
    assert told == [state]


def test_a_lock_that_is_still_held_keeps_a_job_waiting(
    ledger: Ledger, looking: Sleepers, settings: Settings
) -> None:
    jobs = Jobs(ledger)
    job_id = jobs.add(new())[0].job_id
    lock = try_lock(settings.jobs, job_id)
    assert lock is not None
    looking.tick()
    assert states(jobs, job_id) == ["queued"]
    os.close(lock)
    looking.tick()
    assert states(jobs, job_id) == ["running"]


def test_a_process_that_heeds_nothing_is_killed_when_cancelled(
    ledger: Ledger, looking: Sleepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = Jobs(ledger)
    job_id = jobs.add(new())[0].job_id
    looking.script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    )
    monkeypatch.setattr(supervisor, "PATIENCE_S", (0.0, 0.3))
    looking.tick()
    child = looking._children[0]
    jobs.cancel(job_id)
    until(looking, lambda: jobs.get(job_id).ended)
    assert jobs.get(job_id).state == "cancelled"
    assert child.wait() in (-signal.SIGKILL, -signal.SIGTERM)


def test_a_run_is_asked_once_to_pause(ledger: Ledger, looking: Sleepers) -> None:
    jobs = Jobs(ledger)
    job = jobs.add(new())[0]
    looking.tick()
    jobs.pause(job.job_id)
    looking.tick()  # its run isn't stored yet: its driver looks at the job itself
    FakeRun(Path(), run_id=job.run_id, ledger=str(ledger.url)).store()
    for _ in range(3):
        looking.tick()
    assert [row.kind for row in RunRecords(ledger, job.run_id).requests()] == ["pause"]


def test_a_token_without_device_hours_begins_nothing(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    access, jobs = Access(ledger), Jobs(ledger)
    text = access.tokens.create("ada", Role.OPERATOR, device_hours=2.0)
    caller = access.tokens.caller(text)
    assert caller is not None
    spent = {"hours": 1.9}
    monkeypatch.setattr("evomerge.service.quotas.device_hours", lambda *_: spent["hours"])
    looking = Sleepers(
        settings, ledger, over_quota=lambda job: over_quota(access, ledger, jobs, job)
    )
    first, second = (jobs.add(new(token_id=caller.token_id))[0].job_id for _ in range(2))
    looking.tick()
    assert states(jobs, first, second) == ["running", "queued"]
    spent["hours"] = 2.5
    looking._quota_due = 0.0
    looking.tick()
    assert jobs.get(first).wanted == "pause"
    looking._children[0].kill()
    looking._children[0].wait()
    looking.tick()
    assert states(jobs, first, second) == ["paused", "paused"]
    assert "has used 2.50 of its 2 device-hours" in jobs.get(second).message


def test_two_supervisors_take_turns(ledger: Ledger, settings: Settings) -> None:
    one, two = (Sleepers(settings, ledger, lease_s=60.0) for _ in range(2))
    one.start()
    until_alive(one)
    two.start()
    end = time.monotonic() + LIMIT_S
    while not two.waits_for:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert not two.alive()
    one.stop()
    two.stop()


def until_alive(looking: Supervisor) -> None:
    end = time.monotonic() + LIMIT_S
    while not looking.alive():
        assert time.monotonic() < end
        time.sleep(0.01)
