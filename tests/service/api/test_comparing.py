"""Candidates beside others, and as text to copy, over HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient

from evomerge.runs.reading.diff import diff_candidates
from evomerge.runs.reading.results import RunResults
from evomerge.service.app import create_app
from evomerge.service.reading.relation_models import Differences
from evomerge.service.settings import Settings
from tests.service.reading.conftest import RUN_ID, Place, make_place

RUN = f"/api/v1/runs/{RUN_ID}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run that is final; every sixth candidate failed."""
    found = make_place(tmp_path_factory.mktemp("comparing"), budget=12)
    found.fake.drive()
    return found


@pytest.fixture(scope="module")
def client(place: Place) -> Iterator[TestClient]:
    app = create_app(Settings(ledger=place.fake.url, runs=place.runs, no_auth=True))
    yield TestClient(app, base_url="http://127.0.0.1")
    app.state.service.close()


def differences(client: TestClient, candidate: str, **query: Any) -> dict[str, Any]:
    answer = client.get(f"{RUN}/candidates/{candidate}/differences", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    Differences.model_validate(found)
    return found


def test_differences_are_those_that_diff_tells(client: TestClient, place: Place) -> None:
    expected = diff_candidates(RunResults(place.folder), "0-1", "0-2")
    found = differences(client, "0-1", against=["0-2", "0-4"], split=expected.split)
    assert [item["against"] for item in found["items"]] == ["0-2", "0-4"]
    tasks = found["items"][0]["tasks"]
    assert [item["task"] for item in tasks] == [item.task for item in expected.tasks]
    for item, wanted in zip(tasks, expected.tasks, strict=True):
        assert (item["won"], item["lost"]) == (len(wanted.won), len(wanted.lost))
        assert item["difference"] == pytest.approx(vars(wanted.difference))


def test_a_failed_candidate_differs_from_nobody(client: TestClient) -> None:
    tasks = differences(client, "0-1", against="0-3")["items"][0]["tasks"]
    assert len(tasks) == 2
    for item in tasks:
        assert (item["difference"], item["won"], item["lost"]) == (None, None, None)
        assert item["examples"] > 0
    back = differences(client, "0-3", against="0-1")["items"][0]["tasks"]
    assert [item["examples"] for item in back] == [0, 0]


def test_without_parents_or_others_there_is_nothing_beside(client: TestClient) -> None:
    assert differences(client, "0-1")["items"] == []


def test_only_candidates_of_the_run_are_compared(client: TestClient) -> None:
    address = f"{RUN}/candidates/0-1/differences"
    assert client.get(address, params={"against": "9-9"}).status_code == 404
    assert client.get(address, params={"against": ["0-2"] * 9}).status_code == 422


def test_a_recipe_is_given_as_yaml(client: TestClient) -> None:
    answer = client.get(f"{RUN}/candidates/0-1/recipe")
    assert answer.headers["content-type"].startswith("text/plain")
    assert yaml.safe_load(answer.text) == client.get(f"{RUN}/candidates/0-1").json()["recipe"]


def test_what_mergekit_cannot_read_is_refused_with_the_reason(client: TestClient) -> None:
    answer = client.get(f"{RUN}/candidates/0-1/recipe", params={"format": "mergekit"})
    assert answer.status_code == 422
    message = answer.json()["error"]["message"]
    assert "Traceback" not in message
    assert len(message) > 20
