"""Who may see pages: the API's own check, before anything of a page is made.

Pages hold no data themselves, and whatever they change goes through the API; the gate keeps
strangers from holding pages and their WebSockets open.
"""

from urllib.parse import quote, urlsplit

from fastapi import HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evomerge.service.access import access_of

LOGIN = "/login"

# The pages' library writes scripts into pages and makes functions of text. Nothing is loaded
# from elsewhere, and nothing sent there.
POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' blob: data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)


class Gate:
    """Middleware around the pages: who isn't signed in is led to the login page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            await run_in_threadpool(_check, scope)
        except HTTPException as error:
            await _refuse(scope, receive, send, error)
            return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = POLICY
            await send(message)

        await self._app(scope, receive, send_with_policy)


def _check(scope: Scope) -> None:
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    # A browser sends the cookie along with a WebSocket of any page on the same host.
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        raise HTTPException(403, f"another site ({origin}) sent this.")
    # What a page loads changes nothing, also where it goes on as a WebSocket.
    request = Request({**scope, "type": "http", "method": "GET"})
    access_of(request).caller(request)


async def _refuse(scope: Scope, receive: Receive, send: Send, error: HTTPException) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    is_page = "text/html" in Headers(scope=scope).get("accept", "")
    if error.status_code == 401 and is_page:
        query = scope["query_string"].decode("latin-1")
        wanted = quote(f"{scope['path']}?{query}" if query else scope["path"], safe="")
        await RedirectResponse(f"{LOGIN}?next={wanted}", 303)(scope, receive, send)
        return
    answer = PlainTextResponse(str(error.detail), error.status_code, headers=error.headers)
    await answer(scope, receive, send)
