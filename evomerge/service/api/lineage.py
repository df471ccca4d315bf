"""Lineage: a candidate's ancestors and descendants."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from evomerge.service.access import Viewer
from evomerge.service.api.candidates import CandidateId
from evomerge.service.api.runs import RunId
from evomerge.service.reading.details import row_of
from evomerge.service.reading.lineage import lineage_of
from evomerge.service.reading.models import Split
from evomerge.service.reading.relation_models import Lineage
from evomerge.service.reading.respond import respond, workspace_of

router = APIRouter(tags=["lineage"])


@router.get("/runs/{run}/lineage/{candidate}", response_model=Lineage)
def get_lineage(
    caller: Viewer,
    request: Request,
    run: RunId,
    candidate: CandidateId,
    up: Annotated[int, Query(ge=0, le=100, description="Generations of ancestors.")] = 10,
    down: Annotated[int, Query(ge=0, le=100, description="Generations of descendants.")] = 2,
    split: Annotated[Split, Query(description="Split of the scores.")] = "search",
) -> Response:
    """Give who a candidate comes from and what came of it, 500 relatives at the most."""
    workspace = workspace_of(request)
    found = workspace.run(run)
    row_of(found.columns, candidate)
    answer = workspace.answer(
        run,
        ("lineage", candidate, up, down, split),
        found.version,
        lambda: lineage_of(found.columns, candidate, up=up, down=down, split=split),
    )
    return respond(request, answer)
