from pathlib import Path

import optuna
import pytest

from evomerge.errors import MirrorError
from evomerge.runs.driver.state import SEARCH
from evomerge.runs.mirroring.feed import read_feed
from evomerge.runs.mirroring.mirror import POLL_S, mirror
from evomerge.runs.mirroring.optuna import OptunaMirror
from tests.runs.fakes import FakeRun
from tests.runs.mirroring.conftest import half


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/optuna.db"


def study_at(url: str) -> optuna.Study:
    (name,) = optuna.get_all_study_names(url)
    return optuna.load_study(study_name=name, storage=url)


def test_every_outcome_becomes_a_trial(fake: FakeRun, folder: Path, url: str) -> None:
    fake.drive()
    assert [n for _, n in mirror(folder, [OptunaMirror(url)])] == [12]
    study = study_at(url)
    assert study.study_name == "fake 5f5f5f5f"
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.user_attrs["state"] == "finished"
    records = fake.records()
    rows = {row.candidate_id: row for row in records.candidates()}
    scored = records.estimates(SEARCH)
    trials = study.get_trials()
    assert {trial.user_attrs["candidate"] for trial in trials} == {
        name for name, row in rows.items() if row.kind == "search"
    }
    for trial in trials:
        name = trial.user_attrs["candidate"]
        assert trial.params == rows[name].genome
        if name.endswith("-1"):
            assert trial.state.name == "FAIL"
            assert trial.user_attrs["failure"] == "merge: singular <matrix>"
        else:
            near, far = scored[name]["near", "hit"], scored[name]["far", "distance"]
            assert trial.values == [near.value, far.value]


def test_only_what_is_new_is_written(fake: FakeRun, folder: Path, url: str) -> None:
    half(fake)
    (first,) = [n for _, n in mirror(folder, [OptunaMirror(url)])]
    assert 6 <= first < 12
    assert study_at(url).user_attrs["state"] == "stopped"
    assert [n for _, n in mirror(folder, [OptunaMirror(url)])] == [0]
    list(fake.resume().drive())
    assert [n for _, n in mirror(folder, [OptunaMirror(url)])] == [12 - first]
    trials = study_at(url).get_trials()
    assert [trial.user_attrs["candidate"] for trial in trials] == [
        outcome.candidate.candidate_id for outcome in read_feed(folder).outcomes
    ]


def test_a_run_is_followed_to_its_end(
    fake: FakeRun, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = ["running", "running", "finished"]
    half(fake)
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            list(fake.resume().drive())

    real = read_feed

    def running(path: Path) -> object:
        feed = real(path)
        object.__setattr__(feed, "state", states.pop(0))
        return feed

    monkeypatch.setattr("evomerge.runs.mirroring.mirror.read_feed", running)
    found = list(mirror(folder, [OptunaMirror(url)], follow=True, pause=pause))
    first, second, third = (n for _, n in found)
    assert 0 < first < 12
    assert (first + second, third) == (12, 0)
    assert pauses == [POLL_S, POLL_S]


def test_a_storage_that_is_not_there_is_told(fake: FakeRun, folder: Path) -> None:
    fake.drive()
    with pytest.raises(MirrorError, match="OptunaMirror doesn't take run 'fake'"):
        list(mirror(folder, [OptunaMirror("sqlite:////nowhere/at/all.db")]))
