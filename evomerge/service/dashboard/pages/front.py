"""The front of a run: its best trade-offs beside the other candidates."""

from nicegui import ui

from evomerge.service.dashboard.layout import View, page


class Front(View, component="../static/views/front_view.js"):
    """The front as a chart."""


@ui.page("/runs/{run}/front")
def front(run: str) -> None:
    """Show the front."""
    with page("Front", run=run, charts=[f"/api/v1/runs/{run}/front"]):
        Front(run=run)
