"""The service as a process: its logs, its server, how it ends."""

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from fastapi import FastAPI

from evomerge.runs.log import JsonLines, TextLines
from evomerge.service.app import create_app
from evomerge.service.dashboard.install import install as install_dashboard
from evomerge.service.jobs.supervisor import environment
from evomerge.service.settings import Settings

if TYPE_CHECKING:
    from uvicorn import Config, Server

GRACE_S = 10
"""Seconds that answers under way get to end when the service is stopped."""


def serve(
    settings: Settings,
    *,
    log: Literal["text", "json"] = "text",
    certificate: str | None = None,
    key: str | None = None,
) -> None:
    """Answer until SIGTERM or Ctrl-C; runs go on without the service.

    Args:
        settings: What the operator decided.
        log: Form of the lines on stderr.
        certificate: File for TLS; plain HTTP without.
        key: File with the certificate's key.

    Raises:
        EvomergeError: It can't begin.
    """
    # What is loaded from here on reaches only hosts that the operator listed.
    os.environ.update(environment(settings))
    with logging_to_stderr(log):
        app = create_app(settings)
        install_dashboard(app)
        first = app.state.service.access.tokens.make_first()
        _greet(settings, first, secure=certificate is not None)
        run(app, settings, certificate=certificate, key=key)


def run(app: FastAPI, settings: Settings, *, certificate: str | None, key: str | None) -> None:
    """Run the server until it is told to stop."""
    make_server(app, server_config(app, settings, certificate=certificate, key=key)).run()


def make_server(app: FastAPI, config: "Config") -> "Server":
    """Return a server that ends streams of events when it is told to stop, as nobody else would."""
    import uvicorn

    class Ending(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            app.state.service.reading.feeds.close()
            await super().shutdown(sockets)

    return Ending(config)


def server_config(
    app: FastAPI, settings: Settings, *, certificate: str | None = None, key: str | None = None
) -> "Config":
    """Return how the server is to run."""
    import uvicorn

    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        log_config=None,
        access_log=False,
        server_header=False,
        # Anybody may send X-Forwarded-For; from others it would hide who guesses tokens.
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=list(settings.proxies),
        timeout_graceful_shutdown=GRACE_S,
        limit_concurrency=1000,
        h11_max_incomplete_event_size=64 * 1024,
    )


@contextlib.contextmanager
def logging_to_stderr(form: Literal["text", "json"]) -> Iterator[None]:
    """Write what the service and its server have to say to stderr, one line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    handler.addFilter(_is_news)
    loggers = [logging.getLogger(name) for name in ("evomerge", "uvicorn")]
    before = [(item.handlers[:], item.level, item.propagate) for item in loggers]
    for item in loggers:
        item.handlers, item.propagate = [handler], False
        item.setLevel(logging.INFO)
    try:
        yield
    finally:
        for item, (handlers, level, propagate) in zip(loggers, before, strict=True):
            item.handlers, item.propagate = handlers, propagate
            item.setLevel(level)


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out that a page's WebSocket was opened or closed: with each page there is one."""
    text = record.getMessage()
    is_socket = text in ("connection open", "connection closed") or '"WebSocket ' in text
    return not (record.name == "uvicorn.error" and is_socket)


def _greet(settings: Settings, token: str | None, *, secure: bool) -> None:
    """Say where the service is and, once, its first token."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    print(f"Service on http{'s' * secure}://{host}:{settings.port}", file=sys.stderr)
    if token is not None:
        print(
            f"First token, for an admin, shown only now:\n{token}\n"
            "Use it with: export EVOMERGE_TOKEN=…   and make others with: evomerge token create",
            file=sys.stderr,
        )
    if settings.no_auth:
        print("Everybody on this machine is an admin of it (--no-auth).", file=sys.stderr)
