"""Workers: who is at work on a run, and on what."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response

from evomerge.service.access import Viewer
from evomerge.service.api.runs import RunId
from evomerge.service.reading.models import Workers
from evomerge.service.reading.respond import respond, workspace_of
from evomerge.service.reading.worker_totals import totals_of

router = APIRouter(tags=["workers"])


@router.get("/runs/{run}/workers", response_model=Workers)
def get_workers(caller: Viewer, request: Request, run: RunId) -> Response:
    """List the workers of a run, those that are gone last, and what all did that ever worked."""
    workspace = workspace_of(request)

    def make() -> dict[str, Any]:
        return {
            "items": [asdict(worker) for worker in workspace.status(run).workers],
            "totals": totals_of(workspace.records(run)),
        }

    return respond(request, workspace.answer(run, "workers", None, make))
