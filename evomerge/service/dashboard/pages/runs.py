"""The runs of the workspace, and what waits for its turn."""

from nicegui import ui

from evomerge.service.dashboard.layout import View, page


class Runs(View, component="../static/views/runs_view.js"):
    """All runs as a table."""


@ui.page("/")
def runs() -> None:
    """Show all runs."""
    with page("Runs"):
        Runs()
