"""Prompts that a driver has answered behind its search, of which nothing may depend on them."""

import threading
from pathlib import Path
from typing import Any

import pytest

from evomerge.execution.protocol import LOST, Failure, Job
from evomerge.runs.events import Finished
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.talks import KIND, Addressee, body_of, read_talks, unanswered
from tests.runs.driver.asked import BASE, SETTINGS, read_recipe, reference
from tests.runs.driver.test_recovery import Died, die_in
from tests.runs.driver.test_workers import make, scripted, search_of, undisturbed
from tests.runs.fakes import BINARY, FakeRun, FakeWorker

__all__ = ["undisturbed"]


def talking(folder: Path, **options: Any) -> FakeRun:
    settings = {"read_recipe": read_recipe, "references": reference} | options.pop("settings", {})
    run = make(folder, settings=settings, **options)
    run.store().close()
    return run


def ask(run: FakeRun, *models: Addressee, **settings: Any) -> int:
    ledger = Ledger.open(run.url)
    body = body_of(SETTINGS | settings, models or (BASE,))
    number = RunWriter(ledger, run.run_id).add_request(KIND, body)
    ledger.close()
    return number


def ended(records: RunRecords) -> list[tuple[int, str, str, str]]:
    return [(r.talk, r.model, r.state, r.text) for r in records.replies() if r.state != "begun"]


@pytest.mark.parametrize("executor", [None, scripted(slots=3, seed=2, loss=0.2)])
def test_answers_change_nothing_of_a_search(
    tmp_path: Path, undisturbed: Any, executor: Any
) -> None:
    run = talking(tmp_path, make_executor=executor)
    first = ask(run)
    second = ask(run, BASE, prompt="and now?", system="be brief", follows=first)
    events = list(run.resume().drive())
    assert isinstance(events[-1], Finished)
    records = run.records()
    assert search_of(records) == undisturbed
    assert ended(records) == [
        (first, "ref-a", "done", "ref-a heard hello"),
        (second, "ref-a", "done", "ref-a heard be brief | hello | ref-a heard hello | and now?"),
    ]


def test_a_candidate_answers_with_its_own_recipe_while_the_search_goes_on(
    tmp_path: Path, undisturbed: Any
) -> None:
    run = talking(tmp_path, clock=Ticking())
    asked: list[int] = []
    for event in run.resume().drive():
        if event.kind == "generation_done" and not asked:
            row = run.records().candidates()[2]
            asked.append(ask(run, Addressee(row.candidate_id, "candidate", row.recipe_hash)))
    records = run.records()
    ((talk, model, state, _),) = ended(records)
    assert (talk, state) == (asked[0], "done")
    job = next(job for job in run.worker.jobs if job.prompt is not None)
    assert (job.candidate_id, job.recipe.hash()) == (model, records.candidates()[2].recipe_hash)
    place = run.worker.jobs.index(job)
    assert any(later.blocks for later in run.worker.jobs[place:])
    assert search_of(records) == undisturbed


class Ticking:
    """A clock on which two seconds pass each time that somebody looks."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 2.0
        return self.now


def test_what_fails_costs_the_answer_alone(tmp_path: Path, undisturbed: Any) -> None:
    def fails(job: Job) -> Failure | None:
        return Failure("memory", "memory ran out while answering.") if job.prompt else None

    run = talking(tmp_path, worker=FakeWorker(BINARY, fails), identical_failures=1)
    number = ask(run)
    nobody = ask(run, Addressee("ref-zzz", "source"))
    assert isinstance(list(run.resume().drive())[-1], Finished)
    assert search_of(run.records()) == undisturbed
    assert ended(run.records()) == [
        (number, "ref-a", "failed", "memory ran out while answering."),
        (nobody, "ref-zzz", "failed", "the run has no source that is called 'ref-zzz'."),
    ]


def test_an_answer_that_ends_its_worker_is_tried_twice(tmp_path: Path, undisturbed: Any) -> None:
    def fails(job: Job) -> Failure | None:
        return Failure(LOST, "worker ended by SIGKILL") if job.prompt else None

    run = talking(tmp_path, worker=FakeWorker(BINARY, fails))
    number = ask(run)
    assert isinstance(list(run.resume().drive())[-1], Finished)
    assert search_of(run.records()) == undisturbed
    assert [job.attempt for job in run.worker.jobs if job.prompt is not None] == [1, 2]
    assert ended(run.records()) == [(number, "ref-a", "failed", "worker ended by SIGKILL")]


@pytest.mark.parametrize("deaths", [1, 2])
def test_an_answer_that_ends_its_driver_loses_nothing_of_the_run(
    tmp_path: Path, undisturbed: Any, deaths: int
) -> None:
    left = deaths

    def fails(job: Job) -> Failure | None:
        nonlocal left
        if job.prompt is not None and left:
            left -= 1
            raise Died
        return None

    run = talking(tmp_path, worker=FakeWorker(BINARY, fails))
    number = ask(run)
    for _ in range(deaths):
        die_in(run)
    assert isinstance(list(run.resume().drive())[-1], Finished)
    assert search_of(run.records()) == undisturbed
    ((talk, _, state, text),) = ended(run.records())
    assert (talk, state) == (number, "done" if deaths == 1 else "failed")
    assert deaths == 1 or text.startswith("2 processes ended while they made this answer")


def test_what_was_answered_is_not_answered_again(tmp_path: Path) -> None:
    run = talking(tmp_path)
    ask(run)
    list(run.resume().drive())
    again = run.resume()
    again.extend(30)
    list(again.drive())
    assert len(ended(run.records())) == 1
    assert unanswered(read_talks(run.records()), run.records().replies()) == []


def test_a_stop_does_not_wait_for_an_answer(tmp_path: Path) -> None:
    hold = threading.Event()
    run = talking(tmp_path, make_executor=scripted(slots=2, seed=1))
    ask(run)
    driven = run.resume()
    for event in driven.drive():
        if event.kind == "candidate_done" and not hold.is_set():
            hold.set()
            driven.request_stop()
    assert event.kind == "stopped"
    assert isinstance(list(run.resume().drive())[-1], Finished)
    assert [row[2] for row in ended(run.records())] == ["done"]
