"""What becomes of errors: one JSON form for all, with the text that the command line prints."""

import logging
from collections.abc import Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from evomerge.errors import (
    EvomergeError,
    LedgerAwayError,
    LedgerError,
    Problem,
    ProblemsError,
    RunFailedError,
    ServiceError,
)

logger = logging.getLogger(__name__)


class ProblemBody(BaseModel):
    """One mistake."""

    key: str = Field(description="Dotted path of the key, as search.budget; may be empty.")
    message: str = Field(description="What was found, what was expected, what to do.")


class ErrorBody(BaseModel):
    """What was wrong."""

    message: str = Field(description="One clear sentence.")
    problems: list[ProblemBody] = Field(description="Single mistakes, where there are several.")


class ErrorAnswer(BaseModel):
    """The body of every answer from 400 on."""

    error: ErrorBody = Field(
        examples=[
            {
                "message": "the run file has 1 mistake.",
                "problems": [{"key": "search.budget", "message": "got 0, expected at least 1."}],
            }
        ]
    )


def status_of(error: EvomergeError) -> int:
    """Return the HTTP status for ``error``."""
    if isinstance(error, ServiceError):
        return error.status
    if isinstance(error, LedgerAwayError):
        return 503
    if isinstance(error, (LedgerError, RunFailedError)):
        return 409
    return 422


def error_answer(
    status: int,
    message: str,
    problems: Sequence[Problem] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return the one JSON form of an error."""
    body = ErrorAnswer(
        error=ErrorBody(
            message=message,
            problems=[ProblemBody(key=item.key, message=item.message) for item in problems],
        )
    )
    return JSONResponse(body.model_dump(), status, headers=dict(headers or {}))


def install(app: FastAPI) -> None:
    """Let ``app`` answer every error in that form, and never with a traceback."""
    app.add_exception_handler(EvomergeError, _of_ours)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_request)
    app.add_exception_handler(Exception, _of_bug)


def describe(error: EvomergeError) -> tuple[str, Sequence[Problem]]:
    """Return the message of ``error`` and its single problems."""
    problems = error.problems if isinstance(error, (ProblemsError, ServiceError)) else ()
    if isinstance(error, ProblemsError):
        n = len(problems)
        return f"{error.where or 'it'} has {n} mistake{'' if n == 1 else 's'}.", problems
    return str(error), problems


async def _of_ours(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EvomergeError)
    message, problems = describe(error)
    headers = {"Retry-After": "5"} if isinstance(error, LedgerAwayError) else None
    return error_answer(status_of(error), message, problems, headers)


async def _of_http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    message = error.detail if isinstance(error.detail, str) else str(error.detail)
    if error.status_code == 404 and message == "Not Found":
        message = "there is nothing at this address. GET /api/v1/openapi.json lists what there is."
    return error_answer(error.status_code, message, headers=error.headers)


async def _of_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = [
        Problem(".".join(map(str, item["loc"])), f"{item['msg']}.") for item in error.errors()
    ]
    return error_answer(422, "the request doesn't have the form that it needs.", problems)


async def _of_bug(request: Request, error: Exception) -> JSONResponse:
    logger.error("%s %s ended in a bug", request.method, request.url.path, exc_info=error)
    message = "this is a bug of evomerge; the service's log has its traceback."
    return error_answer(500, message)
