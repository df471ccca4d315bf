"""A new run: a form and its run file, checked as they change."""

from nicegui import ui
from nicegui.elements.codemirror import CodeMirror

from evomerge.service.dashboard import assets
from evomerge.service.dashboard.layout import View, page

# Its class names the editor's scripts, which the view imports as 'nicegui-codemirror'.
EDITOR = CodeMirror


class NewRun(View, component="../static/views/new_run_view.js"):
    """The form, the text, and what the check of both says."""


@ui.page("/new")
def new_run() -> None:
    """Let a run be put together, checked and submitted."""
    with page("New run"):
        ui.add_head_html(f'<link rel="stylesheet" href="{assets.root()}/new_run.css">')
        NewRun()
