"""Prompts to models of a run over HTTP: asked of a driver or a job, told as they come."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from evomerge.runs import answering
from evomerge.runs.folder import driver_lock
from evomerge.runs.ledger import driving
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import ReplyRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.service.app import create_app
from evomerge.service.jobs import process
from evomerge.service.jobs.table import Jobs
from evomerge.service.reading.talk_models import Talk, TalkPage
from evomerge.service.settings import Settings
from tests.service.hostile import MARKUP
from tests.service.reading.conftest import RUN_ID, Place, make_place

TALKS = f"/api/v1/runs/{RUN_ID}/talks"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    found = make_place(tmp_path_factory.mktemp("talks"), budget=12)
    found.fake.drive()
    return found


@pytest.fixture
def client(place: Place) -> Iterator[TestClient]:
    """A service whose jobs nobody looks after."""
    app = create_app(Settings(ledger=place.fake.url, runs=place.runs, no_auth=True))
    yield TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    app.state.service.close()


@pytest.fixture
def ledger(place: Place) -> Iterator[Ledger]:
    found = Ledger.open(place.fake.url)
    yield found
    found.close()


def ask(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post(TALKS, json={"prompt": "hello", "candidates": ["0-1"], **body})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    Talk.model_validate(found)
    assert client.get(answer.headers["location"]).json() == found
    return found


def state_of(talk: dict[str, Any]) -> tuple[str, str | None, list[str]]:
    return talk["state"], talk["waits_for"], [item["state"] for item in talk["answers"]]


def test_a_job_answers_of_a_run_that_nobody_drives(
    client: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = ask(client, prompt=MARKUP, candidates=["0-1", "best"])
    assert state_of(talk) == ("waiting", "job", ["waiting", "waiting"])
    ask(client, follows=talk["talk"])
    jobs = Jobs(ledger)
    (job,) = jobs.queued("talk")  # one for all that waits
    assert job.run_id == RUN_ID
    writer = RunWriter(ledger, RUN_ID)
    writer.add_reply(ReplyRow(talk["talk"], "0-1", "begun"))
    one = f"{TALKS}/{talk['talk']}"
    assert state_of(client.get(one).json())[2] == ["answering", "waiting"]
    facts = {"n_tokens": 2, "capped": True, "truncated": False, "templated": False}
    writer.add_reply(ReplyRow(talk["talk"], "0-1", "done", MARKUP, {**facts, "answer_s": 0.5}))
    writer.add_reply(ReplyRow(talk["talk"], talk["answers"][1]["model"], "failed", "no memory"))
    found = client.get(one).json()
    assert state_of(found) == ("done", None, ["done", "failed"])
    first, second = found["answers"]
    assert (first["text"], first["n_tokens"], first["capped"]) == (MARKUP, 2, True)
    assert (second["text"], second["message"]) == ("", "no memory")
    monkeypatch.setattr(answering, "answer_talks", lambda path: 3 if path.is_dir() else 0)
    assert process._outcome(job, jobs, ledger) == {"state": "finished", "answers": 3}


def test_its_driver_answers_of_a_run_that_goes_on(
    client: TestClient, ledger: Ledger, place: Place
) -> None:
    before = len(Jobs(ledger).newest(kind="talk"))
    epoch = driving.claim(ledger, RUN_ID, holder=driving.this_process())
    with driver_lock(place.folder.path):
        talk = ask(client)
        assert state_of(talk) == ("waiting", "driver", ["waiting"])
    driving.release(ledger, RUN_ID, epoch)
    one = f"{TALKS}/{talk['talk']}"
    for job in Jobs(ledger).queued("talk"):
        Jobs(ledger).cancel(job.job_id)
    assert client.get(one).json()["waits_for"] == "nobody"
    assert len(Jobs(ledger).newest(kind="talk")) == before
    assert client.post(f"{one}/answer").json()["waits_for"] == "job"
    assert client.post(f"{one}/answer").json()["waits_for"] == "job"
    assert len(Jobs(ledger).queued("talk")) == 1


def test_talks_come_newest_first_in_pages(client: TestClient, ledger: Ledger) -> None:
    for _ in range(3):
        talk = ask(client, temperature=0.7, seed=4, system="be brief", chat_template=False)
    assert (talk["temperature"], talk["seed"], talk["chat_template"]) == (0.7, 4, False)
    page = client.get(TALKS, params={"limit": 2}).json()
    TalkPage.model_validate(page)
    rest = client.get(TALKS, params={"before": page["next"]}).json()
    numbers = [item["talk"] for item in page["items"] + rest["items"]]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == len(RunRecords(ledger, RUN_ID).requests("talk"))
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"candidates": ["9-9"]}, 409),
        ({"candidates": []}, 409),
        ({"candidates": ["0-1"] * 5}, 422),
        ({"prompt": ""}, 422),
        ({"temperature": float("1e9")}, 422),
        ({"max_new_tokens": 10**6}, 422),
        ({"follows": 999}, 409),
        ({"other": 1}, 422),
    ],
)
def test_what_can_not_be_asked_is_refused(
    client: TestClient, body: dict[str, Any], status: int
) -> None:
    answer = client.post(TALKS, json={"prompt": "hello", "candidates": ["0-1"], **body})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_unknown_runs_and_talks_are_told(client: TestClient) -> None:
    assert client.get(f"{TALKS}/999").status_code == 404
    assert client.get("/api/v1/runs/none/talks").status_code == 404
    unknown = "f" * 32
    asked = {"prompt": "hello", "candidates": ["0-1"]}
    assert client.post(f"/api/v1/runs/{unknown}/talks", json=asked).status_code == 404
