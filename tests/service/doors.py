"""A small app behind the service's access: one route a role, and one that anybody may ask."""

from dataclasses import dataclass

from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from evomerge.runs.ledger.database import Ledger
from evomerge.service.access import Access, Admin, Operator, Viewer, install, note
from evomerge.service.api import audit, session


@dataclass
class State:
    access: Access


def build_app(ledger: Ledger, *, no_auth: bool = False) -> FastAPI:
    app = FastAPI()
    app.state.service = State(Access(ledger, no_auth=no_auth))
    app.include_router(session.router, prefix="/api/v1")
    app.include_router(audit.router, prefix="/api/v1")
    install(app)

    @app.get("/open")
    def everybody() -> str:
        return "open"

    @app.get("/look")
    def look(caller: Viewer) -> str:
        return caller.name

    @app.post("/steer")
    def steer(caller: Operator, request: Request) -> str:
        note(request, "steered")
        return caller.name

    @app.get("/rule")
    def rule(caller: Admin) -> str:
        return caller.name

    @app.post("/break")
    def break_down(caller: Operator) -> str:
        raise RuntimeError("a bug")

    return app


def client_of(app: FastAPI, url: str = "http://127.0.0.1") -> TestClient:
    return TestClient(app, base_url=url, raise_server_exceptions=False)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
