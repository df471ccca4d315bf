"""What a new run may begin from: the operator's run files, the schema, and the names in them."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from evomerge.service.checker import Checked
from evomerge.service.templates import templates_in
from tests.service.test_safety import RUN


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "configs"
    found.mkdir()
    return found


def test_templates_are_run_files_with_their_first_words(folder: Path) -> None:
    (folder / "b.yaml").write_text(
        "# yaml-language-server: $schema=schema.json\n# Try b.\n# More.\nname: b\n"
    )
    (folder / "a.yaml").write_text("name: a\n")
    (folder / "schema.json").write_text("{}")
    (folder / "picture.yaml").write_bytes(b"\xff\xd8")
    (folder / "long.yaml").write_text("#" * 300_000)
    found = templates_in(folder)
    assert [(item.name, item.summary) for item in found] == [("a", ""), ("b", "Try b.")]
    assert found[1].text == "# Try b.\n# More.\nname: b\n"


def test_a_folder_that_is_not_there_has_none(folder: Path) -> None:
    assert templates_in(folder / "gone") == []


def test_the_api_gives_templates_and_the_schema(
    api: TestClient, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / "a.yaml").write_text("# First.\nname: a\n")
    found = api.get("/api/v1/templates").json()
    item = {"name": "a", "summary": "First.", "text": "# First.\nname: a\n"}
    assert found["templates"] == [item]
    assert "search" in found["schema"]["properties"]


def test_the_api_gives_what_a_run_file_may_name(
    api: TestClient, service_app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plugins(*names: str) -> list[dict[str, object]]:
        return [{"name": name, "summary": "", "several": False} for name in names]

    known = {
        "methods": plugins("ties"),
        "evaluators": plugins("generation"),
        "searchers": plugins("random"),
    }
    monkeypatch.setattr(service_app.state.service.checker, "choices", lambda: known)
    found = api.get("/api/v1/templates/choices").json()
    assert found == known | {"executors": ["inprocess", "local"]}


def test_a_check_leaves_the_audit_log_alone(
    api: TestClient, service_app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    checker = service_app.state.service.checker
    monkeypatch.setattr(checker, "check", lambda raw, **_: Checked(raw, ()))
    assert api.post("/api/v1/jobs/check", json={"config": RUN}).status_code == 200
    assert api.get("/api/v1/audit").json()["items"] == []
