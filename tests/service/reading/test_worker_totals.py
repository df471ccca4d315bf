import pytest

from evomerge.runs.reading.results import RunResults
from evomerge.service.reading.worker_totals import _total, totals_of
from evomerge.service.reading.workspace import Workspace
from tests.service.reading.conftest import RUN_ID, Place


def test_totals_add_up_to_what_the_run_took(finished: Place, workspace: Workspace) -> None:
    results = RunResults(finished.folder)
    accounting = results.status().accounting
    results.close()
    totals = totals_of(workspace.records(RUN_ID))
    assert [item["worker"] for item in totals] == ["fake"]
    (found,) = totals
    assert found["attempts"] == accounting.attempts
    assert (found["failed"], found["lost"]) == (7, 0)
    assert found["failures"] == {"exception": 7}
    assert found["seconds"] == pytest.approx(dict(accounting.seconds))


def test_time_that_was_cut_off_is_told_apart() -> None:
    groups = [
        ["done", None, 2, 1.0, 6.0, 0.5, 1.0, 8.0],
        ["lost", "died", 1, 0.0, 0.0, 0.0, 0.0, 3.0],
        ["failed", "timeout", 1, 1.0, 0.0, 0.0, 0.0, 5.0],
    ]
    found = _total("w0", groups)
    assert (found["attempts"], found["failed"], found["lost"]) == (4, 1, 1)
    assert found["failures"] == {"died": 1, "timeout": 1}
    assert found["seconds"] == {
        "merge": 2.0,
        "score": 6.0,
        "tokenise": 0.5,
        "cut_off": 7.0,
        "overhead": 0.5,
        "wait": 1.0,
    }
    assert found["utilisation"] == pytest.approx(16 / 17)
