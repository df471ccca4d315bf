"""schemathesis over the whole OpenAPI document: odd requests never end in a bug."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks

from evomerge.service.app import create_app
from evomerge.service.tokens import Role
from tests.service.doors import bearer
from tests.service.hostile import RUN_ID, Hostile, make_hostile

# As many odd requests an operation; more by hand: EVOMERGE_REQUESTS=1000 pytest …
REQUESTS = int(os.environ.get("EVOMERGE_REQUESTS", "4"))
ENDLESS = ("/api/v1/runs/{run}/events",)
KNOWN = {"run": RUN_ID, "candidate": "0-2"}
CHECKS = [
    checks.not_a_server_error,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    return make_hostile(tmp_path_factory.mktemp("openapi"))


@pytest.fixture(scope="module")
def app(hostile: Hostile) -> Iterator[FastAPI]:
    app = create_app(hostile.settings)
    yield app
    app.state.service.close()


@pytest.mark.slow
def test_odd_requests_get_plain_answers(app: FastAPI) -> None:
    token = app.state.service.access.tokens.create("ada", Role.ADMIN)
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 15
    statuses: set[int] = set()
    for operation in operations:
        for mode in GenerationMode:
            statuses |= _statuses(operation, mode, bearer(token))
    # Not all may be refusals: then nothing behind them would have been tried.
    assert {200, 404, 422} <= statuses


def _statuses(operation: Any, mode: GenerationMode, headers: dict[str, str]) -> set[int]:
    """Send odd requests of one operation, valid or not, to the run that is there and to others."""
    found: set[int] = set()
    turns = iter(range(10**9))

    @settings(
        max_examples=REQUESTS // 2,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        if next(turns) % 3 and operation.path not in ENDLESS:
            for name in set(KNOWN) & set(case.path_parameters or {}):
                case.path_parameters[name] = KNOWN[name]
        response = case.call(headers=headers)
        found.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    with contextlib.suppress(Unsatisfiable):  # without parameters there is nothing to get wrong
        ask()
    return found
