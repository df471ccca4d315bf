"""Jobs as they are stored."""

import itertools
import threading
from collections.abc import Callable

import pytest

from evomerge.errors import ServiceError
from evomerge.runs.ledger.database import Ledger
from evomerge.service.jobs.table import ENDED, Job, Jobs, NewJob
from tests.runs.ledger.conftest import Opener, ledger, ledger_url, open_ledger  # noqa: F401

_NUMBERS = itertools.count(1)


def new(kind: str = "run", **values: object) -> NewJob:
    job_id = f"{next(_NUMBERS):032x}"
    given = {"name": "toy", "folder": "/x", "body": {"config": {}}, "submitted_by": "ada"}
    return NewJob(job_id=job_id, kind=kind, run_id=job_id, **{**given, **values})  # type: ignore[arg-type]  # by name


@pytest.fixture
def jobs(ledger: Ledger) -> Jobs:  # noqa: F811  the fixture
    return Jobs(ledger)


def in_state(jobs: Jobs, state: str, kind: str = "run") -> Job:
    job, _ = jobs.add(new(kind))
    if state == "paused":
        jobs.pause(job.job_id)
    elif state != "queued":
        assert jobs.begin(job.job_id)
        if state != "running":
            jobs.settle(job.job_id, state)
    found = jobs.get(job.job_id)
    assert found.state == state
    return found


def status(call: Callable[[], object]) -> int:
    with pytest.raises(ServiceError) as error:
        call()
    return error.value.status


def test_equal_keys_are_one_job(jobs: Jobs) -> None:
    first, is_new = jobs.add(new(idempotency_key="t:k", fingerprint="f"))
    again, is_new_too = jobs.add(new(idempotency_key="t:k", fingerprint="f"))
    assert (is_new, is_new_too) == (True, False)
    assert again == first == jobs.known("t:k")
    assert status(lambda: jobs.add(new(idempotency_key="t:k", fingerprint="other"))) == 409
    assert len(jobs.newest()) == 1


def test_two_submits_at_once_are_one_job(jobs: Jobs) -> None:
    found: list[str] = []

    def submit() -> None:
        found.append(jobs.add(new(idempotency_key="t:k"))[0].job_id)

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_the_queue_goes_by_priority_and_age_and_a_pause_keeps_the_place(jobs: Jobs) -> None:
    a, b, c = (jobs.add(new(priority=n))[0].job_id for n in (0, 0, 5))
    order = [c, a, b]
    assert [job.job_id for job in jobs.queued("run")] == order
    jobs.pause(a)
    assert [job.job_id for job in jobs.queued("run")] == [c, b]
    jobs.resume(a)
    assert [job.job_id for job in jobs.queued("run")] == order
    jobs.move(b, 9)
    assert [job.job_id for job in jobs.queued("run")] == [b, c, a]
    assert jobs.queued("export") == []


def test_a_job_begins_once(jobs: Jobs) -> None:
    job = in_state(jobs, "queued")
    assert jobs.begin(job.job_id)
    assert not jobs.begin(job.job_id)
    assert jobs.get(job.job_id).starts == 1
    jobs.pause(in_state(jobs, "queued").job_id)
    assert [item.job_id for item in jobs.running()] == [job.job_id]


@pytest.mark.parametrize(
    ("state", "pause", "resume", "cancel"),
    [
        ("queued", "paused", "queued", "cancelled"),
        ("running", "running", "running", "running"),
        ("paused", "paused", "queued", "cancelled"),
        ("finished", 409, 409, 409),
        ("failed", 409, "queued", 409),
        ("cancelled", 409, "queued", "cancelled"),
    ],
)
def test_what_users_may_want_of_a_job(
    jobs: Jobs, state: str, pause: str | int, resume: str | int, cancel: str | int
) -> None:
    for verb, expected in (("pause", pause), ("resume", resume), ("cancel", cancel)):
        job_id = in_state(jobs, state).job_id
        change = getattr(jobs, verb)
        if isinstance(expected, int):
            assert status(lambda change=change, job_id=job_id: change(job_id)) == expected
            assert jobs.get(job_id).state == state
        else:
            assert change(job_id).state == expected
            assert jobs.get(job_id).wanted == {"resume": "run"}.get(verb, verb)


def test_a_finished_run_goes_on_with_a_larger_budget(jobs: Jobs) -> None:
    job_id = in_state(jobs, "finished").job_id
    assert jobs.resume(job_id, budget=64).body["budget"] == 64
    assert jobs.get(job_id).state == "queued"
    export = in_state(jobs, "finished", "export").job_id
    assert status(lambda: jobs.resume(export, budget=64)) == 409


def test_a_job_that_is_being_cancelled_can_not_be_saved(jobs: Jobs) -> None:
    job_id = in_state(jobs, "running").job_id
    jobs.cancel(job_id)
    assert status(lambda: jobs.resume(job_id)) == 409
    assert status(lambda: jobs.pause(job_id)) == 409
    jobs.hold_back(job_id, "over the quota")
    assert jobs.get(job_id).wanted == "cancel"


def test_only_a_running_job_is_settled(jobs: Jobs) -> None:
    for state in ("queued", "paused", *ENDED):
        job_id = in_state(jobs, state).job_id
        jobs.settle(job_id, "failed", message="late")
        assert (jobs.get(job_id).state, jobs.get(job_id).message) == (state, "")


def test_pages_hold_every_job_once(jobs: Jobs) -> None:
    ids = {jobs.add(new())[0].job_id for _ in range(5)}
    seen: list[str] = []
    place = None
    while page := jobs.newest(before=place, n=2):
        seen += [job.job_id for job in page]
        place = page[-1].submitted_s, page[-1].job_id
    assert len(seen) == 5
    assert set(seen) == ids
    assert jobs.newest(states=("paused",)) == []
    assert sum(jobs.counts().values()) == 5


def test_an_unknown_job_is_told(jobs: Jobs) -> None:
    for call in (jobs.get, jobs.pause, jobs.cancel):
        assert status(lambda call=call: call("0" * 32)) == 404
