"""What surrounds every answer: headers that keep browsers careful, and the end of audit entries."""

import logging
from collections.abc import MutableMapping
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evomerge.errors import LedgerError

logger = logging.getLogger(__name__)

_EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "frame-ancestors 'none'",
}
# Answers of the API are data: a browser that is led to one shows it, and loads or runs nothing.
_DATA = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "private, no-cache",
}


def install(app: FastAPI) -> None:
    """Surround ``app``, whose state has ``service.access``; last, so that all answers pass."""
    app.add_middleware(Guard)


class Guard:
    """Middleware around ``app``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        headers = _EVERYWHERE | (_DATA if scope["path"].startswith("/api/") else {})

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                await run_in_threadpool(_end_entry, scope, message["status"])
                found = MutableHeaders(scope=message)
                for name, value in headers.items():
                    found.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_guarded)
        except Exception:
            await run_in_threadpool(_end_entry, scope, 500)
            raise


def _end_entry(scope: MutableMapping[str, Any], status: int) -> None:
    """Store what came of a request that changes something; it's done and stays so in any case."""
    state = scope["state"]
    entry = state.pop("audit_entry", None)
    if entry is None:
        return
    try:
        scope["app"].state.service.access.audit.end(entry, status, state.get("audit_detail", ""))
    except LedgerError as error:
        logger.warning("audit entry %d keeps no status: %s", entry, error)
