"""The workers of a run: what each does now, and where its time went."""

from nicegui import ui

from evomerge.service.dashboard.layout import View, page


class RunWorkers(View, component="../static/views/workers_view.js"):
    """The workers as tables."""


@ui.page("/runs/{run}/workers")
def workers(run: str) -> None:
    """Show the workers."""
    with page("Workers", run=run):
        RunWorkers(run=run)
