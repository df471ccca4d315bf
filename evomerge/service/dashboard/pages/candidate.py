"""One candidate of a run, with all that is known of it."""

from nicegui import ui

from evomerge.service.dashboard.layout import View, page


class Candidate(View, component="../static/views/candidate_view.js"):
    """A candidate's recipe, scores, family and examples."""


@ui.page("/runs/{run}/candidates/{candidate}")
def candidate(run: str, candidate: str) -> None:
    """Show a candidate."""
    with page(candidate, run=run, charts=[]):
        Candidate(run=run, candidate=candidate)
