"""The front of a run: as a chart draws it, and all candidates as a stream."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from evomerge.service.access import Viewer
from evomerge.service.api.runs import RunId
from evomerge.service.reading.chart_models import FrontPicture
from evomerge.service.reading.columns import Columns
from evomerge.service.reading.fronts import MOST_OTHERS, MOST_POINTS, front_picture
from evomerge.service.reading.listing import objective_number
from evomerge.service.reading.models import Split
from evomerge.service.reading.respond import respond, workspace_of
from evomerge.service.reading.table_stream import ARROW, CSV, arrow_stream, csv_stream, pieces

router = APIRouter(tags=["front"])

Chosen = Annotated[
    list[str] | None, Query(max_length=32, description="An objective; repeatable. None: all.")
]
SplitOrNone = Annotated[
    Split | None, Query(description="None: search until the run is final, then validation.")
]


@router.get("/runs/{run}/front", response_model=FrontPicture)
def get_front(
    caller: Viewer,
    request: Request,
    run: RunId,
    objective: Chosen = None,
    split: SplitOrNone = None,
    points: Annotated[
        int, Query(ge=32, le=MOST_POINTS, description="Most points of the front.")
    ] = MOST_POINTS,
    others: Annotated[
        int, Query(ge=0, le=MOST_OTHERS, description="Most other candidates.")
    ] = MOST_OTHERS,
) -> Response:
    """Give the front of chosen objectives beside a sample of the other candidates.

    A front of more than 2,000 points is thinned to those that cover the most.
    """
    workspace = workspace_of(request)
    found = workspace.run(run)
    final = found.final
    shown = split or ("search" if final is None else "validation")
    chosen = _numbers(found.columns, objective)

    def make() -> dict[str, Any]:
        front = workspace.front(found, shown, chosen)
        picture = front_picture(found.columns, front, shown, chosen, points=points, others=others)
        best = None if final is None else final["best"]
        return picture | {"final": final is not None, "best": best}

    what = "front", chosen, shown, points, others
    return respond(request, workspace.answer(run, what, found.version, make))


@router.get(
    "/runs/{run}/front/stream",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "All candidates with their scores, one row each.",
            "content": {
                ARROW: {"schema": {"type": "string", "format": "binary"}},
                "text/csv": {
                    "schema": {"type": "string"},
                    "example": "candidate,kind,origin,…\n3-2,search,cma_es,…\n",
                },
            },
        }
    },
)
def stream_front(
    caller: Viewer,
    request: Request,
    run: RunId,
    objective: Chosen = None,
    split: SplitOrNone = None,
    format: Annotated[Literal["arrow", "csv"], Query(description="Arrow IPC or CSV.")] = "arrow",
) -> StreamingResponse:
    """Stream all candidates with their scores; on_front says which are on the front."""
    workspace = workspace_of(request)
    found = workspace.run(run)
    shown = split or ("search" if found.final is None else "validation")
    chosen = _numbers(found.columns, objective)
    members = workspace.front(found, shown, chosen).members()
    table = pieces(found.columns, shown, members)
    if format == "csv":
        return StreamingResponse(csv_stream(table), media_type=CSV)
    names = [item.name for item in found.columns.objectives.all]
    return StreamingResponse(arrow_stream(table, names), media_type=ARROW)


def _numbers(columns: Columns, names: Sequence[str] | None) -> tuple[int, ...]:
    """Return the numbers of the objectives that are asked for, each once, all if none is."""
    if not names:
        return tuple(range(len(columns.objectives.all)))
    return tuple(dict.fromkeys(objective_number(columns, name) for name in names))
