"""Brings the dashboard onto the service's application, once in a process."""

import importlib
import logging
import pkgutil

import nicegui
from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse
from nicegui import ui
from nicegui.dependencies import register_importmap_override

from evomerge.service.dashboard import assets, pages
from evomerge.service.dashboard.gate import LOGIN, POLICY, Gate

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def install(app: FastAPI) -> None:
    """Add the pages to ``app``, whose API they show.

    The pages' library has one application in a process, so this is for ``evomerge serve`` and not
    for applications that tests make by the dozen.
    """
    logging.getLogger("nicegui").setLevel(logging.WARNING)
    assets.install(app)
    app.add_api_route(LOGIN, _login, include_in_schema=False)
    # All other addresses are the pages'; what programs ask for gets the API's own answer.
    app.add_api_route("/api/{path:path}", _nothing, methods=_METHODS, include_in_schema=False)
    register_importmap_override(assets.MODULES, f"{assets.root()}/")
    for item in pkgutil.iter_modules(pages.__path__):
        importlib.import_module(f"{pages.__name__}.{item.name}")
    ui.run_with(
        app,
        title="evomerge",
        dark=None,
        favicon=assets.STATIC / "favicon.svg",
        tailwind=False,
        show_welcome_message=False,
        reconnect_timeout=30,
        binding_refresh_interval=None,
        gzip_middleware_factory=None,
        language="en-US",
    )
    nicegui.app.state.service = app.state.service
    nicegui.app.add_middleware(Gate)


def _login() -> HTMLResponse:
    text = (assets.STATIC / "login.html").read_text().replace("ASSETS", assets.root())
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return HTMLResponse(text, headers=headers)


def _nothing() -> None:
    raise HTTPException(404, "Not Found")
