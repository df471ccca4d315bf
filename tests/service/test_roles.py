"""The table of roles in docs/service.md is what the service does, endpoint by endpoint."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from evomerge.service.app import create_app
from evomerge.service.settings import Settings
from evomerge.service.tokens import Role
from tests.service.doors import bearer

DOCUMENT = Path(__file__).parents[2] / "docs" / "service.md"
ROW = re.compile(r"^\| `([A-Z]+) (/\S*)` \| (\w+) \|$", re.MULTILINE)
TABLE = {(method, path): role for method, path, role in ROW.findall(DOCUMENT.read_text())}
CALLERS = ("nobody", *(role.value for role in Role))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    folder = tmp_path_factory.mktemp("roles")
    app = create_app(Settings(ledger=f"sqlite:///{folder}/ledger.db", runs=folder / "runs"))
    yield app
    app.state.service.close()


@pytest.fixture(scope="module")
def ask(app: FastAPI) -> Callable[[str, str, str], int]:
    """Return the status that a caller gets, ids being those of nothing."""
    access = app.state.service.access
    headers = {role.value: bearer(access.tokens.create(role.value, role)) for role in Role}
    client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)

    def asked(caller: str, method: str, path: str) -> int:
        url = re.sub(r"\{\w+\}", "0" * 32, path)
        body = None if method in ("GET", "DELETE") else {}
        return client.request(method, url, headers=headers.get(caller), json=body).status_code

    return asked


def test_every_endpoint_stands_in_the_table(app: FastAPI) -> None:
    found = {
        (method, context.path)
        for context in iter_route_contexts(app.routes)
        for method in context.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }
    assert found == set(TABLE)


@pytest.mark.parametrize("caller", CALLERS)
def test_each_caller_is_let_in_where_the_table_says(
    caller: str, ask: Callable[[str, str, str], int]
) -> None:
    ranks = {"anybody": 0, "viewer": 1, "operator": 2, "admin": 3}
    wrong = {}
    for (method, path), role in TABLE.items():
        allowed = ranks.get(caller, 0) >= ranks[role]
        status = ask(caller, method, path)
        expected = "in" if allowed else "403" if caller != "nobody" else "401"
        fine = status not in (401, 403) and (status < 500 or path == "/readyz")
        found = "in" if fine else str(status)
        if found != expected:
            wrong[f"{method} {path}"] = (expected, status)
    assert wrong == {}


def test_no_change_is_made_with_a_cookie_alone(app: FastAPI) -> None:
    token = app.state.service.access.tokens.create("browser", Role.ADMIN)
    client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    csrf = client.post("/api/v1/session", json={"token": token}).json()["csrf"]
    assert client.get("/api/v1/runs").status_code == 200
    changes = [row for row in TABLE if row[0] != "GET" and TABLE[row] != "anybody"]
    assert len(changes) > 10
    # The session itself ends last.
    for method, path in sorted(changes, reverse=True):
        url = re.sub(r"\{\w+\}", "0" * 32, path)
        body = None if method == "DELETE" else {}
        for wrong in ({}, {"X-CSRF-Token": "0" * 64}):
            answer = client.request(method, url, headers=wrong, json=body)
            assert (answer.status_code, url) == (403, url)
        right = {"X-CSRF-Token": csrf}
        foreign = right | {"Sec-Fetch-Site": "cross-site"}
        assert client.request(method, url, headers=foreign, json=body).status_code == 403
        assert client.request(method, url, headers=right, json=body).status_code not in (401, 403)
