"""The commands for the jobs of a service, against a service in this process."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from evomerge.config.load import parse_config
from evomerge.config.yaml_text import dump_yaml
from evomerge.service import client
from evomerge.service.app import create_app
from evomerge.service.checker import Checked
from evomerge.service.settings import Settings
from evomerge.service.state import Service
from tests.cli.commands import call, call_json, mistake
from tests.service.test_safety import RUN


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A service that checks only the form of run files; the commands reach nothing else."""
    monkeypatch.chdir(tmp_path)
    settings = Settings(ledger=f"sqlite:///{tmp_path}/l.db", runs=tmp_path / "runs", no_auth=True)
    app = create_app(settings)
    found: Service = app.state.service

    def check(raw: Mapping[str, Any], *, where: str, plugins: object) -> Checked:
        config = parse_config(dict(raw), where=where)
        return Checked(config.model_dump(mode="json", by_alias=True), ())

    monkeypatch.setattr(found.checker, "check", check)

    def connect(server: str, **_: object) -> client.Client:
        made = client.Client(server)
        made._http = TestClient(app, base_url=server)
        return made

    monkeypatch.setattr("evomerge.cli.remote._connect", connect)
    monkeypatch.setenv(client.SERVER, "http://127.0.0.1:8321")
    (tmp_path / "run.yaml").write_text(dump_yaml(RUN))
    return found


def test_a_job_goes_from_submit_to_cancel(service: Service) -> None:
    job = call_json("submit", "run.yaml", "--set", "search.budget=7", "--priority", 3)["job"]
    assert (job["state"], job["priority"]) == ("queued", 3)
    stored = service.jobs.get(job["job_id"])
    assert stored.body["config"]["search"]["budget"] == 7
    short = job["job_id"][:6]
    assert "is paused" in call("pause", short)[1]
    assert "paused" in call("jobs")[0]
    assert "is queued" in call("resume-job", short)[1]
    assert call_json("cancel", job["job_id"])["job"]["state"] == "cancelled"
    assert [item["state"] for item in call_json("jobs")["jobs"]] == ["cancelled"]
    assert call("logs", short)[0] == ""


def test_mistakes_look_as_those_of_run(service: Service) -> None:
    (wrong,) = mistake("submit", "run.yaml", "--set", "search.budget=0")
    assert wrong.startswith("run.yaml: search.budget: got 0, expected at least 1.")
    lines = mistake("submit", "run.yaml", "--set", "sources.a.path=/etc")
    assert lines == [
        "sources.a.path: '/etc' leads out of the folders that this service reads. Name a path "
        "under one of its roots."
    ]
    assert "no job begin with 'ffff'" in mistake("pause", "ffff")[0]


def test_the_same_key_is_the_same_job(service: Service) -> None:
    first, again = (call_json("submit", "run.yaml", "--key", "k")["job"] for _ in range(2))
    assert first == again


def test_a_service_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(client, "_TRIES", 1)
    (line,) = mistake("jobs", "--server", "http://127.0.0.1:9")
    assert line.startswith("no answer from http://127.0.0.1:9: ")
    assert line.endswith("Is 'evomerge serve' running there?")
    assert "no address" in mistake("jobs", "--server", "http://[")[0]
