"""The candidates of a run as a list."""

from nicegui import ui

from evomerge.service.dashboard.layout import View, page


class Candidates(View, component="../static/views/candidates_view.js"):
    """The list, with its filters."""


@ui.page("/runs/{run}/candidates")
def candidates(run: str) -> None:
    """Show the list."""
    with page("Candidates", run=run):
        Candidates(run=run)
