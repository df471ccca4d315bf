"""A limit on the size of requests' bodies."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evomerge.service.errors import error_answer


class BodyLimit:
    """ASGI middleware that answers 413 to a body of more than ``limit`` bytes.

    It reads a body before anything else is done about the request: bodies are run files at most.

    Args:
        app: What is called with all others.
        limit: Most bytes.
    """

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        messages: list[Message] = []
        seen = int(stated) if stated.isdigit() and len(stated) < 20 else self._limit + 1
        if seen <= self._limit:
            seen = 0
            while seen <= self._limit:
                messages.append(await receive())
                seen += len(messages[-1].get("body", b""))
                if not messages[-1].get("more_body", False):
                    break
        if seen > self._limit:
            message = (
                f"the body has more than {self._limit} bytes. Send a smaller one, or ask whoever "
                "runs the service for a larger --body-limit."
            )
            await error_answer(413, message)(scope, receive, send)
            return

        async def replayed() -> Message:
            return messages.pop(0) if messages else await receive()

        await self._app(scope, replayed, send)
