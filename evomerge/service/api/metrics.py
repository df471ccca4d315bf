"""Metrics: how a run went, as curves."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from evomerge.service.access import Viewer
from evomerge.service.api.runs import RunId
from evomerge.service.reading.chart_models import Metrics
from evomerge.service.reading.respond import respond, workspace_of
from evomerge.service.reading.series import MOST, series_of

router = APIRouter(tags=["metrics"])


@router.get("/runs/{run}/metrics", response_model=Metrics)
def get_metrics(
    caller: Viewer,
    request: Request,
    run: RunId,
    points: Annotated[int, Query(ge=2, le=MOST, description="Most points of a curve.")] = MOST,
) -> Response:
    """Give progress, best so far, hypervolume and reasons of failures over time."""
    workspace = workspace_of(request)
    found = workspace.run(run)
    answer = workspace.answer(
        run, ("metrics", points), found.version, lambda: series_of(found, points=points)
    )
    return respond(request, answer)
