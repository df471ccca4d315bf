"""Talk to them: prompts to models of a run, and their answers side by side."""

from nicegui import ui

from evomerge.service.dashboard import assets
from evomerge.service.dashboard.layout import View, page


class Talk(View, component="../static/views/talk_view.js"):
    """Prompts and answers."""


@ui.page("/runs/{run}/talk")
def talk(run: str) -> None:
    """Show what was asked and answered, and ask more."""
    with page("Talk", run=run):
        ui.add_head_html(f'<link rel="stylesheet" href="{assets.root()}/talk.css">')
        Talk(run=run)
