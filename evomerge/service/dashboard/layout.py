"""What all pages share: header, navigation, theme, and how a view comes onto a page."""

import contextlib
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import nicegui
from nicegui import ui
from nicegui.context import context
from nicegui.element import Element

from evomerge.runs.events import kinds
from evomerge.service.dashboard import assets

THEME_COOKIE = "evomerge_theme"
_STYLES = ("dashboard", "controls", "runs", "front", "candidate")


class View(Element):
    """A part of a page that fetches from the API what it shows.

    Args:
        props: What it shows, as a run's id; plain text and numbers.
    """

    def __init__(self, **props: Any) -> None:
        super().__init__()
        self._props.update(props)


class RunBar(View, component="static/views/run_bar_view.js"):
    """A run's name, state, actions, and links to its pages."""


@contextlib.contextmanager
def page(
    title: str, *, run: str | None = None, charts: Sequence[str] | None = None
) -> Iterator[None]:
    """Lay out a page around what is made within.

    Args:
        title: What the browser's tab says.
        run: The run that the page is of; none for pages of the whole workspace.
        charts: Addresses of the API that the page's charts draw, fetched while the page still
            loads; None for a page without charts.
    """
    ui.page_title(f"{title} · evomerge")
    _head(charts)
    chosen = context.client.request.cookies.get(THEME_COOKIE)
    ui.dark_mode({"dark": True, "light": False}.get(chosen or ""))
    _header()
    with ui.element("div").classes("page"):  # within the layout's own main
        if run is not None:
            RunBar(run=run, kinds=kinds())
        yield


def _head(charts: Sequence[str] | None) -> None:
    root = assets.root()
    lines = [
        *(f'<link rel="stylesheet" href="{root}/{name}.css">' for name in _STYLES),
        f'<script type="module" src="{root}/shell.js"></script>',
    ]
    if charts is not None:
        lines.append(f'<link rel="preload" as="script" href="{root}/{assets.PLOTLY}">')
        lines += [
            f'<link rel="preload" as="fetch" crossorigin href="{escape(address)}">'
            for address in charts
        ]
    ui.add_head_html("\n".join(lines))


def _header() -> None:
    with ui.header().classes("top").props("bordered"):
        ui.link("evomerge", "/").classes("brand")
        with ui.element("nav").props('aria-label="Main"'):
            ui.link("Runs", "/")
            ui.link("New run", "/new")
        ui.space()
        _button("contrast", "Light or dark", "switchTheme")
        if not nicegui.app.state.service.settings.no_auth:
            _button("logout", "Sign out", "signOut")


def _button(icon: str, label: str, action: str) -> None:
    """Make a button of the header; ``action`` is one of shell.js."""
    button = ui.button(icon=icon, color=None).props(f'flat round dense aria-label="{label}"')
    button.on("click", js_handler=f"() => window.evomerge.{action}()")
