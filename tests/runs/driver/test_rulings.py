"""Bans and pins, while a run goes on, after a stop and after its end."""

from pathlib import Path
from typing import Any

import pytest

from evomerge.errors import LedgerError, RunFailedError
from evomerge.runs import steering
from evomerge.runs.events import Asked, Finished, Rescoring, Steered
from evomerge.runs.folder import driver_lock
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.reading.glance import glance
from evomerge.runs.reading.results import RunResults, status_of
from evomerge.runs.steering import steer
from tests.cli.conftest import make_run_folder
from tests.runs.driver.test_workers import Clock
from tests.runs.fakes import BINARY, TWO, FakeRun


def make(folder: Path, **options: Any) -> FakeRun:
    folder.mkdir(parents=True, exist_ok=True)
    given: dict[str, Any] = {
        "budget": 12,
        "finalists": 2,
        "evaluators": BINARY,
        "clock": Clock(),
    }
    return FakeRun(folder, **given | options)


def folder_of(fake: FakeRun) -> Path:
    return make_run_folder(fake, fake.folder / "runs" / "toy")


def ask_for(fake: FakeRun, kind: str, candidate: str, *, on: bool = True) -> None:
    body = {"candidate": candidate, "on": on}
    RunWriter(Ledger.open(fake.url), fake.run_id).add_request(kind, body)


def final(fake: FakeRun) -> dict[str, Any]:
    return dict(fake.records().decisions("final")[-1].body)


def finished(fake: FakeRun) -> Path:
    list(fake.start().drive())
    return folder_of(fake)


def test_a_ban_in_the_middle_keeps_a_candidate_from_being_chosen(tmp_path: Path) -> None:
    plain = make(tmp_path / "plain")
    list(plain.start().drive())
    best, *others = final(plain)["finalists"]
    run = make(tmp_path / "banned")
    started = run.start()
    folder = folder_of(run)
    events = []
    for event in started.drive():
        if isinstance(event, Rescoring) and event.candidate == best:
            ask_for(run, "ban", best)
        events.append(event)
    assert [(e.action, e.subject) for e in events if isinstance(e, Steered)] == [("ban", best)]
    # A banned finalist is replaced by the next one, which is scored too.
    assert best not in final(run)["finalists"]
    assert final(run)["finalists"][: len(others)] == others
    assert len(final(run)["finalists"]) == 2
    results = RunResults.open(folder)
    assert best not in {results.best(), *(e.candidate for e in results.front().entries)}
    assert results.state.progress.evaluated == 12
    assert [r.candidate for r in results.remarks().values() if r.banned] == [best]
    results.close()


def test_the_best_so_far_is_without_what_is_banned(tmp_path: Path) -> None:
    run = make(tmp_path, finalists=4)
    started = run.start()
    folder = folder_of(run)
    values = []
    for event in started.drive():
        if isinstance(event, Asked) and event.ask == 1:
            results = RunResults.open(folder)
            ask_for(run, "ban", results.best())
            results.close()
        if isinstance(event, Steered):
            quick = glance(folder)
            assert quick is not None
            results = RunResults.open(folder)
            assert quick == results.status()
            scored = [results.objectives.values(x) for x in results.state.scored("search").values()]
            assert quick.best == results.objectives.best(scored) == event.best
            values.append(quick.best["mean"])
            assert results.front().entries[0].objectives["mean"].value == values[0]
            results.close()
    assert len(values) == 1


def test_a_banned_recipe_is_not_scored_again(tmp_path: Path) -> None:
    # On so coarse a grid recipes come again and again.
    plain = make(tmp_path / "plain", step=1.0, budget=30, reuse=False)
    list(plain.start().drive())
    rows = plain.records().candidates()
    twice = next(
        one for one in rows if sum(r.recipe_hash == one.recipe_hash and r.ask > 0 for r in rows) > 1
    )
    run = make(tmp_path / "run", step=1.0, budget=30, identical_failures=2)
    for event in run.start().drive():
        if isinstance(event, Asked) and event.ask == 0:
            ask_for(run, "ban", twice.candidate_id)
    again = [r.candidate_id for r in rows if r.recipe_hash == twice.recipe_hash]
    failures = {a.candidate_id: a.failure for a in run.records().attempts() if a.failure}
    assert set(failures) <= set(again)
    assert {(f.kind, f.message) for f in failures.values()} == {("banned", "its recipe is banned")}
    assert len(failures) > 1  # more than identical_failures, and the run went on
    assert isinstance(event, Finished)


def test_a_pinned_candidate_is_a_finalist_however_bad(tmp_path: Path) -> None:
    plain = make(tmp_path / "plain")
    list(plain.start().drive())
    search = plain.records().estimates("search")
    worst = min(search, key=lambda name: sum(e.value for e in search[name].values()))
    assert worst not in final(plain)["finalists"]
    run = make(tmp_path / "run")
    for event in run.start().drive():
        if isinstance(event, Rescoring) and event.index == 2:
            ask_for(run, "pin", worst)
    assert final(run)["finalists"] == [*final(plain)["finalists"], worst]
    assert worst in run.records().estimates("validation")
    assert final(run)["best"] == final(plain)["best"]


@pytest.mark.parametrize("objectives", [None, TWO])
def test_a_finished_run_decides_anew_at_once(tmp_path: Path, objectives: Any) -> None:
    fake = FakeRun(tmp_path, finalists=3, **({"objectives": objectives} if objectives else {}))
    folder = finished(fake)
    before = final(fake)
    found = steer(folder, "ban", "best", on=True)
    assert found.candidate == before["best"]
    after = final(fake)
    assert found.best == after["best"] != before["best"]
    assert before["best"] not in after["front"]
    results = RunResults.open(folder)
    assert results.best() == after["best"]
    status = results.status()
    results.close()
    assert status == glance(folder) == status_of(folder)
    assert (status.state, status.best_candidate) == ("finished", after["best"])
    assert steer(folder, "ban", before["best"], on=True).changed is False
    assert steer(folder, "ban", before["best"], on=False).best == before["best"]
    assert final(fake) == before
    assert len(fake.records().decisions("ban")) == 2


def test_a_finished_run_without_finalists_looks_for_others(tmp_path: Path) -> None:
    fake = make(tmp_path)
    folder = finished(fake)
    first, second = final(fake)["finalists"]
    steer(folder, "ban", first, on=True)
    assert steer(folder, "ban", second, on=True).best is None
    assert status_of(folder).state == "interrupted"
    assert isinstance(list(fake.resume().drive())[-1], Finished)
    assert not {first, second} & set(final(fake)["finalists"])


def test_all_banned_is_told(tmp_path: Path) -> None:
    fake = make(tmp_path, budget=3)
    started = fake.start()

    def drive() -> None:
        for event in started.drive():
            if isinstance(event, Asked):
                for index in range(3):
                    ask_for(fake, "ban", f"0-{index}")

    with pytest.raises(RunFailedError, match=r"all candidates that have scores are banned.*--undo"):
        drive()


def test_conflicts_and_strangers_are_refused(tmp_path: Path) -> None:
    fake = make(tmp_path)
    folder = finished(fake)
    steer(folder, "pin", "0-0", on=True)
    steer(folder, "ban", "0-1", on=True)
    for kind, name, message in (
        ("ban", "0-0", r"0-0 is pinned and has that recipe. Take the pin back first"),
        ("pin", "0-1", r"the recipe of 0-1 is banned"),
        ("pin", "9-9", r"has no candidate '9-9'"),
    ):
        with pytest.raises(LedgerError, match=message):
            steer(folder, kind, name, on=True)  # type: ignore[arg-type]
    assert len(fake.records().requests()) == 2
    # What a driver reads is checked again: the world may have changed since.
    again = fake.resume()
    again.extend(16)
    ask_for(fake, "ban", "0-0")
    (steered,) = [e for e in again.drive() if isinstance(e, Steered)]
    assert steered.refused.startswith("0-0 is pinned")
    assert fake.records().decisions("ban")[-1].body["refused"] == steered.refused
    assert "0-0" in final(fake)["finalists"]


class KillError(BaseException):
    """Ends the driver where it stands."""


@pytest.mark.parametrize("point", ["begin:ban", "before:ban", "after:ban"])
def test_killed_around_a_ban_it_is_decided_once(
    tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evomerge.runs.ledger import database

    def asked(name: str) -> FakeRun:
        run = make(tmp_path / name)
        for event in run.start().drive():
            if isinstance(event, Asked) and event.ask == 1:
                break
        ask_for(run, "ban", "0-0")
        return run

    whole, run = asked("whole"), asked("killed")
    list(whole.resume().drive())

    def kill(name: str) -> None:
        if name == point:
            raise KillError

    with monkeypatch.context() as patched:
        patched.setattr(database, "failpoint", kill)
        with pytest.raises(KillError):
            list(run.resume().drive())
    list(run.resume().drive())
    assert final(run) == final(whole)
    assert len(run.records().decisions("ban")) == 1
    assert "0-0" not in final(run)["finalists"]


def test_a_driver_that_does_not_answer_is_asked_and_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = make(tmp_path)
    folder = finished(fake)
    with driver_lock(folder):
        found = steer(folder, "ban", "0-0", on=True, patience_s=0.0)
    assert not found.answered
    assert fake.records().decisions("ban") == []
    # The next command that finds the run alone answers what is left, in order.
    assert steering.steer(folder, "pin", "0-1", on=True).answered
    kinds = [d.kind for d in fake.records().decisions("ban", "pin")]
    assert kinds == ["ban", "pin"]
