"""Jobs over HTTP: submitted once, checked, steered; runs of the command line too."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from evomerge.config.load import parse_config
from evomerge.runs.folder import driver_lock, write_run
from evomerge.service.checker import Checked
from evomerge.service.state import Service
from evomerge.service.tokens import Role
from tests.runs.fakes import FakeRun
from tests.service.test_safety import RUN

JOBS = "/api/v1/jobs"


@pytest.fixture
def service(service_app: FastAPI, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Service:
    """The service, which checks only the form of run files."""
    monkeypatch.chdir(tmp_path)
    found: Service = service_app.state.service

    def check(raw: Mapping[str, Any], *, where: str, plugins: object) -> Checked:
        config = parse_config(dict(raw), where=where)
        return Checked(config.model_dump(mode="json", by_alias=True), ("slow",))

    monkeypatch.setattr(found.checker, "check", check)
    return found


def submit(api: TestClient, key: str | None = None, **body: Any) -> dict[str, Any]:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = api.post(JOBS, json={"config": RUN, **body}, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_run_file_becomes_a_job(api: TestClient, service: Service) -> None:
    answer = api.post(JOBS, json={"config": RUN, "overrides": ["search.budget=9"]})
    assert answer.status_code == 201
    job = answer.json()
    assert answer.headers["location"] == f"{JOBS}/{job['job_id']}"
    assert (job["state"], job["name"], job["submitted_by"]) == ("queued", "toy", "local")
    assert Path(job["folder"]) == service.settings.runs.absolute() / f"toy-{job['job_id'][:8]}"
    stored = service.jobs.get(job["job_id"]).body["config"]
    assert stored["search"]["budget"] == 9
    assert stored["ledger"] == service.settings.ledger
    assert api.get(answer.headers["location"]).json() == job


def test_the_same_key_gives_the_same_job(api: TestClient, service: Service) -> None:
    first = submit(api, "k1")
    again = api.post(JOBS, json={"config": RUN}, headers={"Idempotency-Key": "k1"})
    assert (again.status_code, again.json()) == (200, first)
    other = api.post(JOBS, json={"config": RUN, "priority": 1}, headers={"Idempotency-Key": "k1"})
    assert other.status_code == 200, "the priority is no part of what is done"
    changed = {**RUN, "name": "other"}
    answer = api.post(JOBS, json={"config": changed}, headers={"Idempotency-Key": "k1"})
    assert answer.status_code == 409
    assert submit(api)["job_id"] != submit(api)["job_id"]


def test_mistakes_and_what_is_not_allowed_come_together(api: TestClient, service: Service) -> None:
    text = "name: toy\nsources: {a: {path: /etc}}\nsearch: {budget: 0}\n"
    answer = api.post(JOBS, json={"text": text})
    assert answer.status_code == 422
    config = {**RUN, "sources": {"a": {"path": "/etc"}}, "seach": 1}
    answer = api.post(f"{JOBS}/check", json={"config": config})
    assert [item["key"] for item in answer.json()["error"]["problems"]] == [
        "seach",
        "sources.a.path",
    ]
    assert api.get(JOBS).json()["jobs"] == []


def test_a_check_stores_nothing(api: TestClient, service: Service) -> None:
    answer = api.post(f"{JOBS}/check", json={"config": RUN})
    assert answer.status_code == 200
    assert answer.json()["warnings"] == ["slow"]
    assert answer.json()["config"]["search"]["searcher"] == "cma_es"
    assert api.get(JOBS).json()["jobs"] == []
    both = api.post(f"{JOBS}/check", json={"config": RUN, "text": "x"})
    assert both.status_code == api.post(f"{JOBS}/check", json={}).status_code == 422


def test_jobs_are_steered(api: TestClient, service: Service) -> None:
    job = submit(api)
    at = f"{JOBS}/{job['job_id']}"
    assert api.post(f"{at}/pause").json()["state"] == "paused"
    assert api.post(f"{at}/resume").json()["state"] == "queued"
    assert api.patch(at, json={"priority": 7}).json()["priority"] == 7
    twin = api.post(f"{at}/clone", json={"overrides": ["search.seed=3"]}).json()
    assert service.jobs.get(twin["job_id"]).body["config"]["search"]["seed"] == 3
    assert api.post(f"{at}/cancel").json()["state"] == "cancelled"
    assert api.post(f"{at}/pause").status_code == 409
    listed = api.get(JOBS, params={"state": ["cancelled"]}).json()["jobs"]
    assert [item["job_id"] for item in listed] == [job["job_id"]]
    assert api.get(f"{at}/log").text == ""


def test_a_page_leads_to_the_next(api: TestClient, service: Service) -> None:
    ids = {submit(api)["job_id"] for _ in range(3)}
    first = api.get(JOBS, params={"limit": 2}).json()
    second = api.get(JOBS, params={"limit": 2, "cursor": first["next"]}).json()
    assert {item["job_id"] for item in first["jobs"] + second["jobs"]} == ids
    assert second["next"] is None
    assert api.get(JOBS, params={"cursor": "x"}).status_code == 422


def test_others_may_pause_a_job_but_not_cancel_it(api: TestClient, service: Service) -> None:
    object.__setattr__(service.access, "no_auth", False)
    tokens = service.access.tokens
    made = {name: tokens.create(name, Role.OPERATOR) for name in ("ada", "bob")}
    made["root"] = tokens.create("root", Role.ADMIN)
    headers = {name: {"Authorization": f"Bearer {text}"} for name, text in made.items()}
    job = api.post(JOBS, json={"config": RUN}, headers=headers["ada"]).json()
    at = f"{JOBS}/{job['job_id']}"
    assert api.post(f"{at}/pause", headers=headers["bob"]).status_code == 200
    refused = api.post(f"{at}/cancel", headers=headers["bob"])
    assert refused.status_code == 403
    assert "this job is of 'ada'" in refused.json()["error"]["message"]
    assert (
        api.post(f"/api/v1/runs/{job['run_id']}/cancel", headers=headers["bob"]).status_code == 403
    )
    assert api.post(f"{at}/cancel", headers=headers["root"]).status_code == 200


@pytest.fixture
def cli_run(service: Service, tmp_path: Path) -> FakeRun:
    """A run that the command line began in the service's workspace and ledger."""
    fake = FakeRun(tmp_path, run_id="ab" * 16, ledger=service.settings.ledger)
    fake.start()
    folder = service.settings.runs / "toy"
    folder.mkdir(parents=True)
    write_run(folder, run_id=fake.run_id, name="toy", ledger=fake.url, config="{}\n")
    return fake


def test_a_run_of_the_command_line_is_paused_by_its_driver(
    api: TestClient, service: Service, cli_run: FakeRun
) -> None:
    at = f"/api/v1/runs/{cli_run.run_id}"
    assert api.post(f"{at}/pause").status_code == 409, "nobody drives it"
    with driver_lock(service.settings.runs / "toy"):
        assert api.post(f"{at}/pause").json()["request"] == 1
        assert api.post(f"{at}/cancel").json()["request"] == 2
    stored = [row.kind for row in cli_run.records().requests()]
    assert stored == ["pause", "cancel"]


def test_a_run_of_the_command_line_goes_on_as_one_job(
    api: TestClient, service: Service, cli_run: FakeRun
) -> None:
    at = f"/api/v1/runs/{cli_run.run_id}"
    job = api.post(f"{at}/resume", json={"budget": 30}).json()
    assert (job["state"], job["run_id"]) == ("queued", cli_run.run_id)
    assert Path(job["folder"]) == service.settings.runs / "toy"
    assert api.post(f"{at}/pause").json()["job"]["state"] == "paused"
    assert api.post(f"{at}/resume").json()["job_id"] == job["job_id"]


def test_an_export_is_downloaded_in_parts(
    api: TestClient, service: Service, cli_run: FakeRun
) -> None:
    for _ in cli_run.resume().drive():
        pass
    at = f"/api/v1/runs/{cli_run.run_id}/exports"
    job = api.post(at, json={"format": "recipe"}, headers={"Idempotency-Key": "e"}).json()
    again = api.post(at, json={"format": "recipe"}, headers={"Idempotency-Key": "e"})
    assert again.json() == job
    assert job["candidate"] == cli_run.records().decisions("final")[0].body["best"]
    assert job["format"] == "recipe"
    url = f"{JOBS}/{job['job_id']}/download"
    assert api.get(url).status_code == 409, "it isn't finished"
    content = bytes(range(256)) * 8
    folder = Path(job["folder"])
    folder.mkdir(parents=True)
    (folder / "toy.yaml").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    service.jobs.begin(job["job_id"])
    outcome = {"state": "finished", "file": "toy.yaml", "bytes": 2048, "sha256": sha256}
    service.jobs.tell(job["job_id"], outcome)
    service.jobs.settle(job["job_id"], "finished")
    assert api.get(f"{JOBS}/{job['job_id']}").json()["download"]["sha256"] == sha256
    whole = api.get(url)
    assert whole.content == content
    assert whole.headers["content-disposition"] == 'attachment; filename="toy.yaml"'
    assert whole.headers["etag"] == f'"{sha256}"'
    part = api.get(url, headers={"Range": "bytes=2000-", "If-Range": f'"{sha256}"'})
    assert (part.status_code, part.content) == (206, content[2000:])
    stale = api.get(url, headers={"Range": "bytes=2000-", "If-Range": '"other"'})
    assert (stale.status_code, len(stale.content)) == (200, 2048)
    (folder / "toy.yaml").unlink()
    assert api.get(url).status_code == 404
    assert api.post(at, json={"candidate": "9-9"}).status_code == 409


def test_a_bomb_in_a_submit_is_refused(api: TestClient, service: Service) -> None:
    bomb = "a: &a [x]\n" + "".join(
        f"b{n}: &b{n} [{', '.join([f'*b{n - 1}' if n else '*a'] * 9)}]\n" for n in range(9)
    )
    answer = api.post(JOBS, json={"text": bomb})
    assert answer.status_code == 422
    assert "values where aliases are written out" in answer.text


@pytest.mark.parametrize("depth", [60, 900, 20_000])
def test_what_is_nested_without_end_is_refused(
    api: TestClient, service: Service, depth: int
) -> None:
    body = '{"config": {"name": ' + "[" * depth + "]" * depth + "}}"
    answer = api.post(JOBS, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["message"]


def test_health_readiness_and_figures(api: TestClient, service: Service) -> None:
    submit(api)
    assert api.get("/healthz").json() == {"status": "ok"}
    waiting = api.get("/readyz")
    assert waiting.status_code == 503, "nobody looks after the jobs"
    text = api.get("/metrics").text
    assert 'evomerge_jobs{state="queued"} 1.0' in text
    assert 'method="POST",route="/jobs",status="201"' in text
    assert "evomerge_supervisor_up 0.0" in text


def test_jobs_of_one_run_are_listed(api: TestClient, service: Service) -> None:
    first, _ = submit(api), submit(api)
    found = api.get(JOBS, params={"run": first["run_id"]}).json()["jobs"]
    assert [job["job_id"] for job in found] == [first["job_id"]]
    assert api.get(JOBS, params={"run": "f" * 32}).json()["jobs"] == []
