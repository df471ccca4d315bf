"""The front of a run: its best trade-offs beside the other candidates."""

from urllib.parse import quote, urlencode

from nicegui import ui
from starlette.requests import Request

from evomerge.service.dashboard.layout import View, page


class Front(View, component="../static/views/front_view.js"):
    """The front as a chart and as a list."""


@ui.page("/runs/{run}/front")
def front(run: str, request: Request) -> None:
    """Show the front."""
    with page("Front", run=run, charts=[_asked(run, request)]):
        Front(run=run)


def _asked(run: str, request: Request) -> str:
    """Return what the view will ask the API for, so that the browser fetches it at once."""
    query = request.query_params
    axes = [query[axis] for axis in ("x", "y", "z") if query.get(axis)]
    names = dict.fromkeys([*axes, *query.getlist("objective")])
    wanted = [("objective", name) for name in names]
    if query.get("split"):
        wanted.append(("split", query["split"]))
    address = f"/api/v1/runs/{quote(run, safe='')}/front"
    return f"{address}?{urlencode(wanted)}" if wanted else address
