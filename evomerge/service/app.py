"""The service as an ASGI application: all routers of ``api`` under ``/api/v1``."""

import contextlib
import importlib
import pkgutil
from collections.abc import AsyncIterator

from fastapi import APIRouter, FastAPI

from evomerge import __version__
from evomerge.service import access, api, errors, operations
from evomerge.service.figures import Counting
from evomerge.service.guard import Guard
from evomerge.service.limits import BodyLimit
from evomerge.service.settings import Settings
from evomerge.service.state import Service

PREFIX = "/api/v1"


def create_app(settings: Settings) -> FastAPI:
    """Return the application; it opens the ledger now, and looks after the jobs while it is up.

    Raises:
        AccessError: It would let everybody in from other machines.
        LedgerError: The ledger can't be used.
    """
    access.check_bind(settings.host, no_auth=settings.no_auth)
    app = FastAPI(
        title="evomerge",
        version=__version__,
        description="Searches for the best way to merge language models, as jobs.",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # its pages load scripts from other hosts
        redoc_url=None,
        lifespan=_lifespan,
        responses={"4XX": {"model": errors.ErrorAnswer, "description": "What was wrong."}},
    )
    app.state.service = Service.open(settings)
    errors.install(app)
    for router in _routers():
        app.include_router(router, prefix=PREFIX)
    app.include_router(operations.router)
    app.add_middleware(BodyLimit, limit=settings.body_limit)
    app.add_middleware(Guard)
    app.add_middleware(Counting, figures=app.state.service.figures)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.service.supervisor.start()
    app.state.service.webhooks.start()
    try:
        yield
    finally:
        app.state.service.close()


def _routers() -> list[APIRouter]:
    """Return the routers of the modules in ``api``, by name; some hold only models."""
    names = sorted(item.name for item in pkgutil.iter_modules(api.__path__))
    modules = [importlib.import_module(f"{api.__name__}.{name}") for name in names]
    return [module.router for module in modules if hasattr(module, "router")]
