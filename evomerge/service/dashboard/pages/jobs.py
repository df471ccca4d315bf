"""The jobs of the service: runs and exports that wait, go on, or have ended."""

from nicegui import ui

from evomerge.service.dashboard.layout import View, page


class Jobs(View, component="../static/views/jobs_view.js"):
    """All jobs as a table."""


@ui.page("/jobs")
def jobs() -> None:
    """Show all jobs."""
    with page("Jobs"):
        Jobs()
