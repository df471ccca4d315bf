"""Stars, notes, bans and pins over HTTP, and what becomes of them in the run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from evomerge.runs.reading.remarks import remark_on
from evomerge.runs.reading.results import RunResults
from evomerge.runs.remarks import LONGEST
from evomerge.service.app import create_app
from evomerge.service.settings import Settings
from tests.service.reading.conftest import RUN_ID, Place, make_place

RUN = f"/api/v1/runs/{RUN_ID}"
NONE = {"candidate": "0-1", "starred": False, "notes": [], "banned": False, "pinned": False}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A run that is final; every sixth candidate failed."""
    found = make_place(tmp_path, budget=12)
    found.fake.drive()
    return found


@pytest.fixture
def client(place: Place) -> Iterator[TestClient]:
    app = create_app(Settings(ledger=place.fake.url, runs=place.runs, no_auth=True))
    yield TestClient(app, base_url="http://127.0.0.1")
    app.state.service.close()


def change(client: TestClient, candidate: str, **changes: bool) -> Any:
    return client.patch(f"{RUN}/candidates/{candidate}/remark", json=changes)


def test_a_star_and_a_note_are_told_everywhere(client: TestClient, place: Place) -> None:
    assert client.get(f"{RUN}/remarks").json() == {"items": []}
    starred = change(client, "0-1", starred=True)
    assert starred.json() == {"remark": NONE | {"starred": True}, "message": ""}
    noted = client.post(f"{RUN}/candidates/0-1/notes", json={"text": "  reads\n<b>well</b> "})
    assert noted.status_code == 201
    remark = noted.json()["remark"]
    assert [note["text"] for note in remark["notes"]] == ["reads <b>well</b>"]
    assert client.get(f"{RUN}/remarks").json()["items"] == [remark]
    assert client.get(f"{RUN}/candidates/0-1").json()["remark"] == remark
    assert remark_on(RunResults.open(place.folder.path).remarks(), "0-1").starred
    assert change(client, "0-1", starred=False).json()["remark"]["starred"] is False


def test_a_ban_on_the_best_names_the_next_one(client: TestClient, place: Place) -> None:
    best = client.get(RUN).json()["best_candidate"]
    answer = change(client, best, banned=True).json()
    assert answer["remark"]["banned"] is True
    after = RunResults.open(place.folder.path).best()
    assert after not in (None, best)
    assert answer["message"] == f"The run's best is {after} now."
    back = change(client, best, banned=False).json()
    assert back["remark"] == NONE | {"candidate": best}
    assert back["message"] == f"The run's best is {best} now."


def test_a_pin_can_become_a_ban_at_once(client: TestClient) -> None:
    assert change(client, "0-1", pinned=True).json()["remark"]["pinned"] is True
    refused = change(client, "0-1", banned=True)
    assert refused.status_code == 409
    assert "0-1 is pinned" in refused.json()["error"]["message"]
    answer = change(client, "0-1", banned=True, pinned=False).json()
    assert answer["remark"] == NONE | {"banned": True}
    assert change(client, "0-1", banned=False, pinned=True).json()["remark"]["pinned"] is True


def test_what_cannot_be_remarked_is_refused(client: TestClient) -> None:
    assert change(client, "9-9", starred=True).status_code == 404
    assert change(client, "0-3", pinned=True).status_code == 409  # it has failed
    for text in ("", "  \n ", "a\0b", "x" * (LONGEST + 1)):
        answer = client.post(f"{RUN}/candidates/0-1/notes", json={"text": text})
        assert answer.status_code == 422
    assert client.patch(f"{RUN}/candidates/0-1/remark", json={"stared": True}).status_code == 422
    assert client.get(f"{RUN}/remarks").json() == {"items": []}


def test_who_changed_what_is_written_down(client: TestClient) -> None:
    change(client, "0-1", starred=True, pinned=True)
    entry = client.get("/api/v1/audit").json()["items"][0]
    assert (entry["method"], entry["status"]) == ("PATCH", 200)
    assert entry["detail"] == "0-1: starred=True, pinned=True"
