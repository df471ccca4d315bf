"""Niches: what the archive of a search holds, by examples or by cells."""

from fastapi import APIRouter, Request, Response

from evomerge.service.access import Viewer
from evomerge.service.api.runs import RunId
from evomerge.service.reading.archives import archive_of
from evomerge.service.reading.relation_models import Niches
from evomerge.service.reading.respond import respond, workspace_of

router = APIRouter(tags=["niches"])


@router.get("/runs/{run}/niches", response_model=Niches)
def get_niches(caller: Viewer, request: Request, run: RunId) -> Response:
    """Give the archive of a search that keeps one; for others kind is none, with the reason."""
    workspace = workspace_of(request)
    found = workspace.run(run)
    records = workspace.records(run)
    answer = workspace.answer(run, "niches", found.version, lambda: archive_of(found, records))
    return respond(request, answer)
