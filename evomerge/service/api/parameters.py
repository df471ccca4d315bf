"""Parameters: which genes of a run matter, and how."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import StringConstraints

from evomerge.service.access import Viewer
from evomerge.service.api.runs import RunId
from evomerge.service.reading.parameter_models import Parameters
from evomerge.service.reading.parameters import parameters_of
from evomerge.service.reading.respond import respond, workspace_of

router = APIRouter(tags=["parameters"])

GeneName = Annotated[str, StringConstraints(max_length=1_000)]


@router.get("/runs/{run}/parameters", response_model=Parameters)
def get_parameters(
    caller: Viewer,
    request: Request,
    run: RunId,
    quantile: Annotated[
        float | None,
        Query(
            ge=0.02,
            le=0.5,
            description="Share of the candidates that are the best. None: 0.1, or more where that "
            "would be too few.",
        ),
    ] = None,
    gene: Annotated[
        list[GeneName] | None,
        Query(max_length=12, description="A gene to slice; repeatable. None: the first six."),
    ] = None,
) -> Response:
    """Tell which genes matter, how scores lie along them, and what rises together.

    Of long runs a sample is looked at: 2,000 candidates, fewer for importances of many genes.
    """
    workspace = workspace_of(request)
    found = workspace.run(run)
    records = workspace.records(run)
    genes = tuple(dict.fromkeys(gene or ()))
    answer = workspace.answer(
        run,
        ("parameters", quantile, genes),
        found.version,
        lambda: parameters_of(found, records, quantile=quantile, genes=genes),
    )
    return respond(request, answer)
