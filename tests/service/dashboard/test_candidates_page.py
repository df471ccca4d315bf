"""The list of a run's candidates: filters, order, pages."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.service.dashboard.conftest import MARKUP, Site

pytestmark = pytest.mark.browser

Open = Callable[..., Page]


def listed(page: Page, run: str, query: str) -> list[str]:
    """Return the candidates that the API lists."""
    answer = page.request.get(f"/api/v1/runs/{run}/candidates?{query}")
    assert answer.status == 200
    items: list[dict[str, Any]] = answer.json()["items"]
    return [item["candidate"] for item in items]


def rows(page: Page) -> Locator:
    """Return the links to the candidates in the list."""
    return page.locator("table.candidates tbody td:nth-child(2) a")


def test_filters_and_order_are_kept_in_the_address(open_page: Open, site: Site) -> None:
    run = site.runs["plain"]
    page = open_page(f"/runs/{run}/candidates?kind=search")
    everything = listed(page, run, "kind=search")
    expect(rows(page)).to_have_text(everything)
    page.get_by_role("button", name="copy", exact=True).click()
    expect(rows(page)).to_have_text(listed(page, run, "kind=search&sort=-copy"))
    best, *_, worst = listed(page, run, "kind=search&sort=-copy")
    item = page.request.get(f"/api/v1/runs/{run}/candidates/{best}").json()
    bound = item["objectives"]["search"]["copy"]["value"] - 1e-6
    page.get_by_label("Bound", exact=True).fill(f"{bound:.7f}")
    page.get_by_role("button", name="Add").click()
    fitting = listed(page, run, f"kind=search&sort=-copy&where=copy >= {bound:.7f}")
    assert best in fitting
    assert worst not in fitting
    expect(rows(page)).to_have_text(fitting)
    page.goto(page.url)
    expect(rows(page)).to_have_text(fitting)
    page.get_by_role("button", name="Remove all filters").click()
    expect(rows(page)).to_have_text(listed(page, run, "sort=-copy"))
    page.get_by_role("button", name="★ starred").click()
    expect(rows(page)).to_have_text(["0-0"])
    page.get_by_label("Part of the id").fill("nowhere")
    expect(page.get_by_text("No candidate fits the filters.")).to_be_visible()


def test_pages_follow_one_another(open_page: Open, site: Site) -> None:
    run = site.runs["plain"]
    page = open_page("/")

    def fewer(route: Route) -> None:
        route.continue_(url=route.request.url.replace("limit=50", "limit=5"))

    page.route("**/candidates?*", fewer)
    page.goto(f"/runs/{run}/candidates?kind=search")
    everything = listed(page, run, "kind=search")
    expect(rows(page)).to_have_text(everything[:5])
    page.get_by_role("button", name="Next", exact=True).click()
    expect(rows(page)).to_have_text(everything[5:10])
    page.goto(page.url)
    expect(rows(page)).to_have_text(everything[5:10])
    page.get_by_role("button", name="Next", exact=True).click()
    expect(rows(page)).to_have_text(everything[10:15])
    expect(page.get_by_role("button", name="Next", exact=True)).to_be_disabled()
    page.get_by_role("button", name="Previous").click()
    expect(rows(page)).to_have_text(everything[5:10])
    page.get_by_role("button", name="First").click()
    expect(rows(page)).to_have_text(everything[:5])


def test_failures_tell_their_reasons(open_page: Open, site: Site) -> None:
    run = site.runs["broken"]
    page = open_page(f"/runs/{run}/candidates")
    page.get_by_role("button", name="failed").click()
    failed = listed(page, run, "status=failed")
    expect(rows(page)).to_have_text(failed)
    reason = page.locator(".failure").first
    expect(reason).to_contain_text(re.compile("^\\s*(nan|exception): "))
    expect(reason).to_contain_text(MARKUP)
