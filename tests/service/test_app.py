"""The application as a whole: its errors, its limits, what it says of itself."""

from collections.abc import Iterator

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient

from evomerge.errors import (
    AccessError,
    ConfigError,
    EvaluationError,
    EvomergeError,
    LedgerAwayError,
    LedgerError,
    Problem,
    ServiceError,
)
from evomerge.service.app import create_app
from evomerge.service.settings import Settings


def test_an_unknown_address_says_where_to_look(api: TestClient) -> None:
    answer = api.get("/api/v1/nothing")
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {
            "message": "there is nothing at this address. "
            "GET /api/v1/openapi.json lists what there is.",
            "problems": [],
        }
    }


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ServiceError(404, "no such run."), 404, "no such run."),
        (LedgerError("it is driven."), 409, "it is driven."),
        (LedgerAwayError("locked."), 503, "locked."),
        (EvaluationError("no such task."), 422, "no such task."),
    ],
)
def test_errors_have_the_status_of_their_kind(
    api: TestClient, error: EvomergeError, status: int, message: str
) -> None:
    answer = raising(api, error)
    assert answer == (status, {"error": {"message": message, "problems": []}})


def test_a_run_files_mistakes_come_one_by_one(api: TestClient) -> None:
    problems = [Problem("search.budget", "got 0."), Problem("base", "no source.")]
    status, body = raising(api, ConfigError("run.yaml", problems))
    assert status == 422
    assert body["error"] == {
        "message": "run.yaml has 2 mistakes.",
        "problems": [
            {"key": "search.budget", "message": "got 0."},
            {"key": "base", "message": "no source."},
        ],
    }


def test_a_bug_shows_no_traceback(api: TestClient) -> None:
    status, body = raising(api, ValueError("secret /path"))
    assert status == 500
    assert "secret" not in str(body)


def raising(api: TestClient, error: Exception) -> tuple[int, dict[str, dict[str, object]]]:
    """Return status and body of a route that raises ``error``."""
    router = APIRouter()

    @router.get("/raises")
    def raises() -> None:
        raise error

    api.app.include_router(router)  # type: ignore[attr-defined]  # a FastAPI
    answer = api.get("/raises")
    return answer.status_code, answer.json()


def chunks(n: int) -> Iterator[bytes]:
    for _ in range(n):
        yield b" " * 1024


def test_too_large_a_body_is_refused(api: TestClient) -> None:
    limit = Settings().body_limit
    stated = api.post("/api/v1/session", content=b" " * (limit + 1))
    assert stated.status_code == 413
    assert "the body has more than 1048576 bytes" in stated.json()["error"]["message"]
    streamed = api.post("/api/v1/session", content=chunks(limit // 1024 + 1))
    assert streamed.status_code == 413
    fits = api.post("/api/v1/session", content=chunks(limit // 1024))
    assert fits.status_code == 422


def test_answers_carry_the_headers_of_the_guard(api: TestClient) -> None:
    assert api.get("/api/v1/nothing").headers["x-content-type-options"] == "nosniff"
    refused = api.post("/api/v1/session", content=b" " * (Settings().body_limit + 1))
    assert refused.headers["x-content-type-options"] == "nosniff"


def test_nobody_is_let_in_from_other_machines_without_tokens() -> None:
    with pytest.raises(AccessError, match="--no-auth with --host"):
        create_app(Settings(host="0.0.0.0", no_auth=True))
