"""The genes of a run: which matter, how scores lie along them, what rises together."""

from nicegui import ui

from evomerge.service.dashboard.layout import View, page


class Parameters(View, component="../static/views/parameters_view.js"):
    """Importances, slices and correlations."""


@ui.page("/runs/{run}/parameters")
def parameters(run: str) -> None:
    """Show the genes."""
    with page("Parameters", run=run, charts=[]):
        Parameters(run=run)
