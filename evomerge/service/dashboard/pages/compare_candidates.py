"""Candidates of a run side by side."""

from nicegui import ui

from evomerge.service.dashboard.layout import View, page


class CompareCandidates(View, component="../static/views/compare_candidates_view.js"):
    """Scores, genes, coefficients and routes of up to six candidates."""


@ui.page("/runs/{run}/compare")
def compare_candidates(run: str) -> None:
    """Show candidates side by side."""
    with page("Compare candidates", run=run, charts=[]):
        CompareCandidates(run=run)
