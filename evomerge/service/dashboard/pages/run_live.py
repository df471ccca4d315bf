"""A run as it goes on: its best so far, its speed, its failures, and what it has taken."""

from nicegui import ui

from evomerge.service.dashboard.layout import View, page


class Live(View, component="../static/views/live_view.js"):
    """The run's figures and curves."""


@ui.page("/runs/{run}")
def live(run: str) -> None:
    """Show the run as it goes on."""
    with page("Live", run=run, charts=[]):
        Live(run=run)
