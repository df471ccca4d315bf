from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from evomerge.runs.ledger import tables
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.service.reading import course
from evomerge.service.reading.course import POINTS, Courses
from evomerge.service.reading.follow import FollowedRun
from evomerge.service.reading.run_list import summary_of
from evomerge.service.reading.series import series_of
from evomerge.service.reading.workspace import Workspace
from tests.service.reading.conftest import RUN_ID, Place, make_place

ONE = {"near": "maximize"}


def told(ask: int) -> list[dict[str, Any]]:
    """The events of one generation of four."""
    progress = {"evaluated": 4 * ask + 4, "failed": 0, "budget": 2000}
    body = {"best": {"near": ask / 500}, "ask": ask, "progress": progress}
    row = {"run_id": RUN_ID, "at_s": 0.0}
    return [
        row | {"sequence": 2 * ask + 1, "kind": "asked", "body": {}},
        row | {"sequence": 2 * ask + 2, "kind": "generation_done", "body": body},
    ]


def test_the_course_is_the_best_so_far_at_the_generations_ends(
    workspace: Workspace, followed: FollowedRun
) -> None:
    found = Courses().of(workspace.records(RUN_ID), ONE)
    assert found is not None
    curve = series_of(followed, points=1000)["best"]["near"]
    best = dict(zip(curve["evaluated"], curve["value"], strict=True))
    assert found["objective"] == "near"
    assert found["evaluated"][-1] == 36  # the budget ends within a generation
    for evaluated, value in zip(found["evaluated"], found["value"], strict=True):
        assert value == [score for count, score in best.items() if count <= evaluated][-1]


def test_a_long_run_has_a_course_of_few_points_that_is_read_once(tmp_path: Path) -> None:
    place = make_place(tmp_path)
    ledger = Ledger.open(place.fake.url)
    records = RunRecords(ledger, RUN_ID)
    courses = Courses()
    assert courses.of(records, ONE) is None
    with ledger.write("test") as connection:
        connection.execute(insert(tables.event), [row for ask in range(500) for row in told(ask)])
    found = courses.of(records, ONE)
    assert found is not None
    assert POINTS <= len(found["value"]) <= POINTS + 1
    assert (found["evaluated"][0], found["evaluated"][-1]) == (4, 2000)
    assert found["value"] == sorted(found["value"])
    assert courses.of(records, ONE) is found
    ledger.close()


def test_a_run_whose_events_have_another_form_is_unreadable(
    finished: Place, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "courses", Courses())
    monkeypatch.setattr(course, "plain", lambda body: {"best": {"near": 1.0}})
    found = summary_of(workspace, finished.folder)
    assert found["state"] == "unreadable"
    assert "progress" in found["message"]
