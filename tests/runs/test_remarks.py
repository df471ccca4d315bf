"""Notes and stars stand beside a run that goes on, and come out wherever it is read."""

from pathlib import Path

import pytest

from evomerge.errors import LedgerError
from evomerge.runs.events import Asked, Finished
from evomerge.runs.reading.glance import glance
from evomerge.runs.reading.remarks import Remark, remark_on
from evomerge.runs.reading.results import RunResults
from evomerge.runs.remarks import LONGEST, add_note, set_star
from tests.cli.conftest import make_run_folder
from tests.runs.fakes import FakeRun, picture


def folder_of(fake: FakeRun) -> Path:
    return make_run_folder(fake, fake.folder / "runs" / "toy")


def test_remarks_are_told_by_status_front_and_show(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path)
    list(fake.start().drive())
    folder = folder_of(fake)
    best = add_note(folder, "best", "  reads\nwell ")
    add_note(folder, "0-1", "dull")
    assert set_star(folder, best, on=True) == best
    results = RunResults.open(folder)
    remark = remark_on(results.remarks(), best)
    assert (remark.starred, [note.text for note in remark.notes]) == (True, ["reads well"])
    assert results.show(best).remark == remark
    (entry,) = results.front().to_dict()["front"]
    assert entry["remark"]["notes"][0]["text"] == "reads well"
    quick = glance(folder)
    assert quick is not None
    assert quick == results.status()
    assert [item.candidate for item in quick.remarks] == [best, "0-1"]


def test_a_star_that_is_taken_back_leaves_nothing(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path)
    list(fake.start().drive())
    folder = folder_of(fake)
    for on in (False, True, True, False):
        set_star(folder, "0-0", on=on)
    results = RunResults.open(folder)
    assert [row.body["on"] for row in results.records.requests("star")] == [True, False]
    assert results.remarks() == {}
    assert remark_on(results.remarks(), "0-0") == Remark("0-0")


def test_a_remark_on_a_known_candidate_does_not_read_the_whole_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeRun(tmp_path)
    list(fake.start().drive())
    folder = folder_of(fake)
    with monkeypatch.context() as patch:
        patch.setattr(RunResults, "open", lambda _: pytest.fail("all of it was read"))
        add_note(folder, "0-1", "dull")
        set_star(folder, "0-1", on=True)
    assert remark_on(RunResults.open(folder).remarks(), "0-1").starred
    with pytest.raises(LedgerError, match="no candidate '9-9'"):
        set_star(folder, "9-9", on=True)


def test_a_driver_at_work_is_not_disturbed(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    expected = FakeRun(tmp_path / "other")
    list(expected.start().drive())
    fake = FakeRun(tmp_path)
    run = fake.start()
    folder = folder_of(fake)
    for event in run.drive():
        if isinstance(event, Asked) and event.ask > 0:
            add_note(folder, "0-0", f"after ask {event.ask}")
            set_star(folder, "0-1", on=True)
    assert isinstance(event, Finished)
    assert picture(fake.records()) == picture(expected.records())
    assert len(fake.records().requests("note")) == 3


@pytest.mark.parametrize(
    ("candidate", "text", "message"),
    [
        ("9-9", "good", "has no candidate '9-9'; Known: 0-0"),
        ("0-0", " \n", "has 0 characters, expected 1 to 2000"),
        ("0-0", "x" * (LONGEST + 1), "has 2001 characters"),
    ],
)
def test_what_cannot_be_noted_is_refused(
    tmp_path: Path, candidate: str, text: str, message: str
) -> None:
    fake = FakeRun(tmp_path)
    list(fake.start().drive())
    folder = folder_of(fake)
    with pytest.raises(LedgerError, match=message):
        add_note(folder, candidate, text)
    assert fake.records().requests() == []
