"""What those who run the service ask of it: is it up, can it work, what does it do."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from evomerge.errors import LedgerError
from evomerge.service import access
from evomerge.service.state import Service

router = APIRouter(tags=["operations"])


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = Field("ok", examples=["ok"])


class Readiness(BaseModel):
    """Whether the service can do its work, and what keeps it."""

    ready: bool = Field(examples=[True])
    ledger: str = Field(description="ok, or what is the matter.", examples=["ok"])
    jobs: str = Field(description="ok, or why they aren't looked after.", examples=["ok"])


@router.get("/healthz")
async def health() -> Health:
    """Say that the process answers; asks nothing of the ledger, and needs no token."""
    return Health(status="ok")


@router.get("/readyz", responses={503: {"model": Readiness}})
def readiness(request: Request) -> Response:
    """Say if the ledger answers and the jobs are looked after; needs no token."""
    service: Service = request.app.state.service
    found = Readiness(ready=True, ledger="ok", jobs="ok")
    try:
        service.jobs.counts()
    except LedgerError:
        found.ledger = "can't be read just now; the service's log says why."
    if not service.supervisor.alive():
        found.jobs = "aren't looked after yet; the service's log says why."
    found.ready = found.ledger == found.jobs == "ok"
    return JSONResponse(found.model_dump(), 200 if found.ready else 503)


@router.get("/metrics", response_class=Response)
def metrics(request: Request) -> Response:
    """Return figures for Prometheus; needs a token unless the operator opened it."""
    service: Service = request.app.state.service
    if not service.settings.metrics_open:
        access.viewer(request, None)
    content = service.figures.text()
    return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")
