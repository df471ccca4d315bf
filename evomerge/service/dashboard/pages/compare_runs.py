"""Two runs side by side: figures, curves, run files, and the recipes of their best."""

from nicegui import ui

from evomerge.service.dashboard.layout import View, page


class CompareRuns(View, component="../static/views/compare_runs_view.js"):
    """What sets two runs apart."""


@ui.page("/compare")
def compare_runs() -> None:
    """Show the two runs that the address names."""
    with page("Compare two runs", charts=[]):
        CompareRuns()
