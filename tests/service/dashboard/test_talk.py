"""Talk to them: asked, answered by a process of its own, shown side by side as text."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.service.dashboard.conftest import MARKUP, Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_candidates_and_their_base_answer_side_by_side(
    open_page: Callable[..., Page], site: Site
) -> None:
    page = open_page(f"/runs/{site.runs['plain']}/talk?candidate=0-0&candidate=0-1")
    expect(page.locator(".talk-chip")).to_have_text(["0-0 ×", "0-1 ×"])
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Tokens at most").fill("6")
    page.get_by_role("textbox", name="Prompt").fill(MARKUP)
    page.keyboard.press("Control+Enter")
    turn = page.locator(".talk-turn")
    expect(turn.locator(".talk-asked")).to_have_text(MARKUP)
    expect(turn.locator(".talk-facts")).to_have_count(3, timeout=90_000)
    expect(turn.locator("h3")).to_contain_text(["0-0", "0-1", "base"])
    expect(turn.locator(".talk-facts").first).to_contain_text("tokens")
    assert page.evaluate("window.hacked") is None
    # The address leads there again: to the turn, and to whom the next one would ask.
    page.reload()
    expect(page.locator(".talk-asked")).to_have_text(MARKUP)
    expect(page.locator(".talk-chip")).to_have_text(["0-0 ×", "0-1 ×"])
    expect(page.get_by_label("Tokens at most")).to_have_value("6")
    page.get_by_role("button", name="Begin a new one").click()
    expect(page.locator(".talk-turn")).to_have_count(0)
    page.go_back()
    expect(page.locator(".talk-turn")).to_have_count(1)


def test_one_that_was_not_scored_can_be_named_and_nobody_can_not(
    open_page: Callable[..., Page], site: Site
) -> None:
    page = open_page(f"/runs/{site.runs['broken']}/talk?with=nobody")
    expect(page.get_by_text("Choose somebody to ask.")).to_be_visible()
    page.get_by_role("textbox", name="Prompt").fill("hello")
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_disabled()
    page.get_by_label("Candidate to ask").fill("0-1")
    page.keyboard.press("Enter")
    expect(page.locator(".talk-chip")).to_have_text(["0-1 ×"])
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_enabled()
    page.get_by_role("button", name="Leave out 0-1").click()
    expect(page.locator(".talk-chip")).to_have_count(0)
