"""Candidates of a run: as a list, and each with all that is known of it."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import StringConstraints

from evomerge.errors import ServiceError
from evomerge.service.access import Viewer
from evomerge.service.api.runs import Cursor, Limit, RunId
from evomerge.service.reading.candidate_models import CandidateDetail, CandidatePage
from evomerge.service.reading.details import details_of, read_all_remarks, row_of
from evomerge.service.reading.listing import Wanted, candidate_item, page_of
from evomerge.service.reading.models import Split, State
from evomerge.service.reading.respond import respond, workspace_of
from evomerge.service.reading.workspace import Workspace

router = APIRouter(tags=["candidates"])

Bound = Annotated[str, StringConstraints(max_length=300)]
CandidateId = Annotated[str, Path(max_length=300, description="Id of the candidate.")]


@router.get("/runs/{run}/candidates", response_model=CandidatePage)
def get_candidates(
    caller: Viewer,
    request: Request,
    run: RunId,
    split: Annotated[Split, Query(description="Split of states and scores.")] = "search",
    status: Annotated[list[State] | None, Query(description="Only candidates that are so.")] = None,
    kind: Annotated[Literal["search", "reference"] | None, Query()] = None,
    origin: Annotated[str, Query(max_length=255, description="Beginning of the origin.")] = "",
    text: Annotated[str, Query(max_length=255, description="Part of the id.")] = "",
    parent: Annotated[str, Query(max_length=255, description="Only what was made from it.")] = "",
    where: Annotated[
        list[Bound] | None,
        Query(max_length=20, description="A bound on an objective, as 'math >= 0.6'; repeatable."),
    ] = None,
    starred: Annotated[bool, Query(description="Only candidates with a star.")] = False,
    sort: Annotated[
        str,
        Query(
            max_length=255,
            description="asked, finished, device_s or an objective; a minus before it turns the "
            "order round.",
        ),
    ] = "asked",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """List candidates, filtered and sorted; what has no value comes last."""
    workspace = workspace_of(request)
    found = workspace.run(run)
    stars = _starred(workspace, run)
    wanted = Wanted(
        split=split,
        states=tuple(dict.fromkeys(status or ())),
        kind=kind or "",
        origin=origin,
        text=text,
        parent=parent,
        where=tuple(where or ()),
        only=stars if starred else None,
        sort=sort,
    )

    def make() -> dict[str, Any]:
        page = page_of(found.columns, wanted, limit=limit, cursor=cursor)
        items = [candidate_item(found.columns, split, row) for row in page.rows]
        return {
            "items": [item | {"starred": item["candidate"] in stars} for item in items],
            "total": page.total,
            "next": page.cursor,
        }

    version = found.version, stars
    answer = workspace.answer(run, ("candidates", wanted, limit, cursor), version, make)
    return respond(request, answer)


@router.get("/runs/{run}/candidates/{candidate}", response_model=CandidateDetail)
def get_candidate(caller: Viewer, request: Request, run: RunId, candidate: CandidateId) -> Response:
    """Tell all that is known of a candidate."""
    workspace = workspace_of(request)
    found = workspace.run(run)
    row_of(found.columns, candidate)
    records = workspace.records(run)
    answer = workspace.answer(
        run, ("candidate", candidate), None, lambda: details_of(found, records, candidate)
    )
    return respond(request, answer)


def _starred(workspace: Workspace, run: str) -> frozenset[str]:
    try:
        with workspace.records(run).ledger.read() as connection:
            remarks = read_all_remarks(connection, run)
    except KeyError as error:
        raise ServiceError(409, f"remarks of run {run} can't be read: {error}.") from error
    return frozenset(name for name, remark in remarks.items() if remark.starred)
