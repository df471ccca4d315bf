"""Recipes as text to copy."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from evomerge.service.access import Viewer
from evomerge.service.api.candidates import CandidateId
from evomerge.service.api.runs import RunId
from evomerge.service.reading.details import recipe_of, row_of
from evomerge.service.reading.recipe_texts import recipe_text
from evomerge.service.reading.respond import workspace_of

router = APIRouter(tags=["candidates"])


@router.get(
    "/runs/{run}/candidates/{candidate}/recipe",
    response_class=Response,
    responses={
        200: {
            "description": "YAML.",
            "content": {
                "text/plain": {"schema": {"type": "string"}, "example": "evomerge_recipe: 1\n"}
            },
        }
    },
)
def get_recipe(
    caller: Viewer,
    request: Request,
    run: RunId,
    candidate: CandidateId,
    format: Annotated[
        Literal["recipe", "mergekit"],
        Query(description="As 'evomerge merge' takes it, or as a mergekit file."),
    ] = "recipe",
) -> Response:
    """Give a candidate's recipe as YAML; where mergekit has no counterpart, 422 says why."""
    workspace = workspace_of(request)
    row_of(workspace.run(run).columns, candidate)
    plain = recipe_of(workspace.records(run), candidate)
    text = recipe_text(plain) if format == "recipe" else workspace.mergekit.get(plain)
    return Response(text, media_type="text/plain; charset=utf-8")
