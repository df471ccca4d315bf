"""The reading API over HTTP, against what the command line reads of the same run."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel
from sqlalchemy import insert

from evomerge.runs.ledger import tables
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.reading.diff import diff_candidates
from evomerge.runs.reading.results import RunResults
from evomerge.runs.remarks import add_note, set_star
from evomerge.service.api import events
from evomerge.service.app import create_app
from evomerge.service.reading.candidate_models import CandidateDetail, CandidatePage
from evomerge.service.reading.chart_models import FrontPicture, Metrics
from evomerge.service.reading.models import Log, RunDetail, RunList, Workers
from evomerge.service.reading.parameter_models import Parameters
from evomerge.service.reading.relation_models import Examples, Lineage, Niches
from evomerge.service.settings import Settings
from tests.service.reading.conftest import RUN_ID, Place, make_place

RUN = f"/api/v1/runs/{RUN_ID}"
BODIES: dict[str, type[BaseModel]] = {
    "/api/v1/runs": RunList,
    RUN: RunDetail,
    f"{RUN}/candidates": CandidatePage,
    f"{RUN}/candidates/0-1": CandidateDetail,
    f"{RUN}/candidates/0-3": CandidateDetail,
    f"{RUN}/front": FrontPicture,
    f"{RUN}/niches": Niches,
    f"{RUN}/parameters": Parameters,
    f"{RUN}/lineage/0-1": Lineage,
    f"{RUN}/examples/0-1?against=0-2&wait_s=0": Examples,
    f"{RUN}/workers": Workers,
    f"{RUN}/logs": Log,
    f"{RUN}/metrics": Metrics,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run that is final; every sixth candidate failed."""
    found = make_place(tmp_path_factory.mktemp("api"), budget=30)
    found.fake.drive()
    (found.folder.path / "log.txt").write_text("first\n<script>second</script>\n")
    return found


@pytest.fixture(scope="module")
def client(place: Place) -> Iterator[TestClient]:
    yield from client_of(place)


def client_of(place: Place) -> Iterator[TestClient]:
    """What asks the service of a workspace."""
    app = create_app(Settings(ledger=place.fake.url, runs=place.runs, no_auth=True))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as found:
        yield found


@pytest.fixture(scope="module")
def results(place: Place) -> Iterator[RunResults]:
    found = RunResults(place.folder)
    yield found
    found.close()


def get(client: TestClient, address: str, **query: Any) -> Any:
    answer = client.get(address, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("address", BODIES)
def test_bodies_are_as_documented(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    body = BODIES[address].model_validate(answer.json())
    # Nothing is missing that the document promises.
    required = {name for name, field in type(body).model_fields.items() if field.is_required()}
    assert required <= set(answer.json())


@pytest.mark.parametrize("address", BODIES)
def test_what_a_client_has_is_not_sent_again(client: TestClient, address: str) -> None:
    first = client.get(address)
    tag = first.headers["etag"]
    again = client.get(address, headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get(address, headers={"If-None-Match": '"other"'}).status_code == 200


def test_documents_show_an_example_of_each_body(client: TestClient) -> None:
    document = client.get("/api/v1/openapi.json").json()
    for model in {*BODIES.values()}:
        assert document["components"]["schemas"][model.__name__]["examples"]
        # The document leaves out what is null.
        extra: Any = model.model_config["json_schema_extra"]
        model.model_validate(extra["examples"][0])


def test_a_run_is_as_the_command_line_tells(client: TestClient, results: RunResults) -> None:
    status = results.status()
    for found in (get(client, RUN), get(client, "/api/v1/runs")["items"][0]):
        assert found["state"] == status.state == "finished"
        assert found["best"] == status.best
        assert found["best_candidate"] == status.best_candidate
        assert found["progress"] == {"evaluated": 30, "failed": 5, "budget": 30}
    assert get(client, RUN)["accounting"]["device_s"] == pytest.approx(status.accounting.device_s)


def test_one_run_is_listed_or_none(client: TestClient) -> None:
    found = get(client, "/api/v1/runs", run=RUN_ID)["items"]
    assert [item["run_id"] for item in found] == [RUN_ID]
    assert get(client, "/api/v1/runs", run="f" * 32)["items"] == []
    assert get(client, "/api/v1/runs", run=RUN_ID, text="other")["items"] == []


def test_candidates_and_front_are_as_the_command_line_tells(
    client: TestClient, results: RunResults
) -> None:
    front = results.front()
    picture = get(client, f"{RUN}/front")
    assert picture["split"] == "validation"
    assert sorted(picture["front"]["candidates"]) == sorted(e.candidate for e in front.entries)
    assert picture["best"] == results.state.final["best"]
    marks = {e.candidate: list(e.marks) for e in front.entries if e.marks}
    assert picture["marks"] == marks
    items = get(client, f"{RUN}/candidates", limit=200, status="failed")["items"]
    failed = results.state.failures["search"]
    assert {item["candidate"]: item["failure"]["message"] for item in items} == {
        name: failure.message for name, failure in failed.items()
    }
    for name in ("0-1", "0-3"):
        details = results.show(name)
        found = get(client, f"{RUN}/candidates/{name}")
        assert found["recipe"] == details.recipe
        assert found["genome"] == details.genome
        assert found["status"] == details.status
        assert found["attempts"] == details.attempts == len(found["tries"])
        for split, values in details.objectives.items():
            assert {k: v["value"] for k, v in found["objectives"][split].items()} == {
                k: v.value for k, v in values.items()
            }
        assert {s: t.keys() for s, t in found["tasks"].items()} == {
            s: t.keys() for s, t in details.tasks.items()
        }


def test_examples_are_won_and_lost_as_diff_tells(client: TestClient, results: RunResults) -> None:
    expected = {item.task: item for item in diff_candidates(results, "0-1", "0-2").tasks}
    for task in ("near", "far"):
        query: dict[str, Any] = {"against": "0-2", "task": task, "wait_s": 0, "limit": 3}
        won: list[int] = []
        after = -1
        while after is not None:
            address = f"{RUN}/examples/0-1"
            found = get(client, address, outcome="won", after=after, **query)
            won += [item["index"] for item in found["items"]]
            after = found["next"]
        split = found["split"]
        assert split == "search"
        if results.show("0-1").objectives.keys() == {"search"}:
            assert tuple(won) == expected[task].won
            assert found["counts"]["lost"] == len(expected[task].lost)
            assert found["difference"]["value"] == pytest.approx(expected[task].difference.value)
        assert found["counts"]["won"] == len(won) == found["total"]


def test_the_stream_has_every_candidate(client: TestClient, results: RunResults) -> None:
    query = {"split": "search"}
    plain = client.get(f"{RUN}/front/stream", params={**query, "format": "csv"})
    rows = list(csv.DictReader(io.StringIO(plain.text)))
    assert [row["candidate"] for row in rows] == list(results.state.candidates)
    table = pa.ipc.open_stream(client.get(f"{RUN}/front/stream", params=query).content).read_all()
    assert table["candidate"].to_pylist() == list(results.state.candidates)
    values = {
        name: results.objectives.values(e)["far"]
        for name, e in results.state.estimates["search"].items()
    }
    streamed = dict(
        zip(table["candidate"].to_pylist(), table["objective.far"].to_pylist(), strict=True)
    )
    assert {name: value for name, value in streamed.items() if value is not None} == values
    assert {r["candidate"]: float(r["objective.far"]) for r in rows if r["objective.far"]} == values
    on_front = set(get(client, f"{RUN}/front", **query)["front"]["candidates"])
    assert {row["candidate"] for row in rows if row["on_front"] == "True"} == on_front


@pytest.mark.parametrize(
    ("address", "status", "message"),
    [
        ("/api/v1/runs/" + "f" * 32, 404, "there is no run"),
        (f"{RUN}/candidates/9-9", 404, "has no candidate '9-9'"),
        (f"{RUN}/lineage/9-9", 404, "has no candidate"),
        (f"{RUN}/examples/9-9", 404, "has no candidate"),
        (f"{RUN}/examples/0-1?against=9-9", 404, "has no candidate"),
        (f"{RUN}/examples/0-1?task=nix", 422, "no evaluator is called 'nix'"),
        (f"{RUN}/front?objective=nix", 422, "no objective is called 'nix'"),
        (f"{RUN}/parameters?gene=nix", 422, "no gene is called 'nix'"),
        (f"{RUN}/candidates?limit=201", 422, "doesn't have the form"),
        (f"{RUN}/candidates?where=a{'%20' * 300}b", 422, "doesn't have the form"),
        (f"{RUN}/candidates?where=near", 422, "where: got 'near', expected NAME >= NUMBER"),
        (f"{RUN}/candidates?cursor=x", 422, "cursor: this isn't one"),
        ("/api/v1/runs?cursor=x", 422, "cursor: this isn't one"),
        ("/api/v1/runs/" + "f" * 32 + "/events", 404, "there is no run"),
    ],
)
def test_mistakes_get_one_sentence(
    client: TestClient, address: str, status: int, message: str
) -> None:
    answer = client.get(address)
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]


def test_remarks_and_markup_come_as_text(client: TestClient, place: Place) -> None:
    add_note(place.folder.path, "0-2", "<img src=x onerror=alert(1)>")
    set_star(place.folder.path, "0-2", on=True)
    found = get(client, f"{RUN}/candidates/0-2")
    assert found["remark"]["starred"]
    assert found["remark"]["notes"][0]["text"] == "<img src=x onerror=alert(1)>"
    starred = get(client, f"{RUN}/candidates", starred=True)
    assert [item["candidate"] for item in starred["items"]] == ["0-2"]
    assert get(client, RUN)["starred"] == ["0-2"]
    log = client.get(f"{RUN}/logs")
    assert log.json()["lines"] == ["first", "<script>second</script>"]
    assert log.headers["content-type"] == "application/json"


def test_events_go_on_after_the_last_one(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The stream ends at its first heartbeat, because its reader may no more.
    monkeypatch.setattr(events, "still_allowed", lambda request: False)
    workspace = client.app.state.service.reading  # type: ignore[attr-defined]
    monkeypatch.setattr(workspace.feeds, "_heartbeat_s", 0.05)
    answer = client.get(f"{RUN}/events", params={"after": 0})
    assert answer.headers["content-type"].startswith("text/event-stream")
    whole = [line for line in answer.text.splitlines() if line.startswith("data: ")]
    sequences = [json.loads(line[6:])["sequence"] for line in whole]
    assert sequences == list(range(1, len(sequences) + 1))
    late = client.get(f"{RUN}/events", headers={"Last-Event-ID": str(len(whole) - 2)})
    assert [line for line in late.text.splitlines() if line.startswith("data: ")] == whole[-2:]


def test_a_run_that_cannot_be_read_stands_in_the_list_with_its_reason(tmp_path: Path) -> None:
    place = make_place(tmp_path)
    other = tmp_path / "runs" / "old"
    other.mkdir()
    identity = json.loads((place.folder.path / "run.json").read_text())
    identity |= {"run_id": "e" * 32, "name": "old"}
    (other / "run.json").write_text(json.dumps(identity))
    gone = tmp_path / "runs" / "gone"
    gone.mkdir()
    lost = {**identity, "run_id": "d" * 32, "ledger": f"sqlite:///{tmp_path}/no.db"}
    (gone / "run.json").write_text(json.dumps(lost | {"ledger_from_here": "no.db"}))
    for client in client_of(place):
        items = {item["folder"]: item for item in get(client, "/api/v1/runs")["items"]}
        RunList.model_validate({"items": list(items.values()), "next": None})
        assert items["toy"]["state"] != "unreadable"
        assert items["old"]["state"] == items["gone"]["state"] == "unreadable"
        assert "has no run" in items["old"]["message"]
        assert "does not exist" in items["gone"]["message"]
        only = get(client, "/api/v1/runs", state="unreadable", limit=1)
        assert len(only["items"]) == 1
        rest = get(client, "/api/v1/runs", state="unreadable", limit=1, cursor=only["next"])
        assert {only["items"][0]["folder"], rest["items"][0]["folder"]} == {"old", "gone"}
        for address in (a.replace(RUN_ID, run) for a in BODIES for run in ("e" * 32, "d" * 32)):
            if "/runs/" in address and not address.endswith("/logs"):
                assert client.get(address).status_code == 409, address


def test_an_older_schema_is_read_after_an_upgrade_only(tmp_path: Path) -> None:
    place = make_place(tmp_path)
    old = tmp_path / "old.db"
    with Ledger.open(f"sqlite:///{old}", create=True, schema="0001").write("test"):
        pass
    folder = tmp_path / "runs" / "old"
    folder.mkdir()
    identity = json.loads((place.folder.path / "run.json").read_text())
    identity |= {"run_id": "e" * 32, "ledger": f"sqlite:///{old}", "ledger_from_here": "x"}
    (folder / "run.json").write_text(json.dumps(identity))
    for client in client_of(place):
        answer = client.get("/api/v1/runs/" + "e" * 32 + "/front")
        assert answer.status_code == 409
        assert "evomerge db upgrade" in answer.json()["error"]["message"]


def test_numbers_that_are_not_finite_are_null(tmp_path: Path) -> None:
    place = make_place(tmp_path, budget=6)
    place.fake.drive()
    ledger = Ledger.open(place.fake.url)
    with ledger.write("test") as connection:
        wrong = {"value": float("inf"), "low": float("-inf"), "high": float("inf")}
        connection.execute(
            tables.estimate.update().where(tables.estimate.c.candidate_id == "0-0").values(wrong)
        )
        event = {"run_id": RUN_ID, "sequence": 10_000, "kind": "odd", "at_s": 1.0}
        connection.execute(insert(tables.event), event | {"body": {"value": float("nan")}})
    ledger.close()
    for client in client_of(place):
        for address in BODIES:
            answer = client.get(address)
            assert answer.status_code == 200, (address, answer.text)
            BODIES[address].model_validate(
                json.loads(answer.text, parse_constant=lambda word: pytest.fail(word))
            )
        assert client.get(f"{RUN}/front/stream?format=csv").status_code == 200
        assert client.get(f"{RUN}/front/stream").status_code == 200
        found = get(client, f"{RUN}/candidates/0-0")
        assert found["objectives"]["search"]["near"]["value"] is None


def test_a_run_with_nothing_yet_shows_that(tmp_path: Path) -> None:
    place = make_place(tmp_path)
    for client in client_of(place):
        for address in BODIES:
            if "0-" not in address:
                answer = client.get(address)
                assert answer.status_code == 200, (address, answer.text)
                BODIES[address].model_validate(answer.json())
        assert (
            pa.ipc.open_stream(client.get(f"{RUN}/front/stream").content).read_all().num_rows == 0
        )
        assert get(client, f"{RUN}/front")["counts"]["front"] == 0
