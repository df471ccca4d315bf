"""The archive of a run: who lives on which examples, or in which cell."""

from urllib.parse import quote

from nicegui import ui

from evomerge.service.dashboard.layout import View, page


class Niches(View, component="../static/views/niches_view.js"):
    """An archive by examples or by cells."""


@ui.page("/runs/{run}/niches")
def niches(run: str) -> None:
    """Show the archive."""
    with page("Niches", run=run, charts=[f"/api/v1/runs/{quote(run, safe='')}/niches"]):
        Niches(run=run)
