"""A candidate's page: what it is made of, whom it beats, and what can be done with it."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from playwright.sync_api import Locator, Page, expect

from tests.service.dashboard.conftest import MARKUP, Site

pytestmark = pytest.mark.browser

Open = Callable[..., Page]


def card(page: Page, title: str) -> Locator:
    """Return the card with a title."""
    return page.locator(".card", has=page.get_by_role("heading", name=title, exact=True))


def ask(page: Page, address: str) -> Any:
    """Return what the API says."""
    answer = page.request.get(f"/api/v1/{address}")
    assert answer.status == 200
    return answer.json()


def test_a_candidate_shows_what_it_is_made_of(open_page: Open, site: Site) -> None:
    run = site.runs["plain"]
    page = open_page(f"/runs/{run}/candidates/1-0")
    detail = ask(page, f"runs/{run}/candidates/1-0")
    heat_map = card(page, "Coefficients").get_by_role("img", name="Heat map")
    expect(heat_map.locator(".hm")).to_be_visible()
    weights = next(item for item in detail["coefficients"] if item["option"] == "weights")
    numbers = heat_map.locator(".annotation-text")
    expect(numbers).to_have_count(len(weights["rows"]) * (weights["layers"] + 2))
    shown = card(page, "Recipe").get_by_label("Text of the recipe")
    expect(shown).to_contain_text("evomerge_recipe")
    assert yaml.safe_load(shown.inner_text()) == detail["recipe"]
    for task, metrics in detail["tasks"]["search"].items():
        row = card(page, "Scores by task").locator("tr", has_text=task).first
        value = next(iter(metrics.values()))["value"]
        expect(row).to_contain_text(f"{abs(value):.3f}")


def test_it_is_compared_with_others_example_by_example(open_page: Open, site: Site) -> None:
    run = site.runs["plain"]
    page = open_page(f"/runs/{run}/candidates/1-0?against=0-1&split=search")
    (item,) = ask(page, f"runs/{run}/candidates/1-0/differences?against=0-1")["items"]
    scores = card(page, "Scores by task")
    expect(scores).to_contain_text("against 0-1")
    counts = scores.locator("tbody", has_text="against 0-1").locator("tr").nth(1)
    task = item["tasks"][0]
    expect(counts).to_contain_text(re.compile(rf"{task['won']}\s*{task['lost']}\s*examples"))
    examples = card(page, "Examples")
    expect(examples).to_contain_text(f"{task['won']} won, {task['lost']} lost")
    expect(examples).to_contain_text(MARKUP)
    examples.get_by_role("button", name="lost").click()
    expect(page).to_have_url(re.compile("outcome=lost"))
    expect(examples.locator(".example")).to_have_count(task["lost"])
    page.reload()
    expect(examples.get_by_role("button", name="lost")).to_have_attribute("aria-pressed", "true")
    expect(examples.locator(".example")).to_have_count(task["lost"])


def test_stars_and_notes_are_kept_and_shown(open_page: Open, site: Site) -> None:
    run = site.runs["niched"]
    page = open_page(f"/runs/{run}/candidates/0-1")
    page.get_by_role("button", name="Star").click()
    expect(page.get_by_role("button", name="Starred")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("heading", name="0-1")).to_contain_text("★")
    page.get_by_label("A note on it").fill(MARKUP)
    page.get_by_role("button", name="Write").click()
    expect(page.locator(".notes")).to_contain_text(MARKUP)
    (remark,) = ask(page, f"runs/{run}/remarks")["items"]
    assert (remark["candidate"], remark["starred"]) == ("0-1", True)
    page.goto(f"/runs/{run}/compare?candidate=0-1&candidate=0-2")
    expect(page.locator(".compared-list li").first).to_contain_text("★")
    page.goto(f"/runs/{run}/candidates/0-1")
    page.get_by_role("button", name="Starred").click()
    expect(page.get_by_role("button", name="Starred")).to_have_count(0)
    assert page.evaluate("window.hacked") is None


def test_who_only_looks_sees_why_nothing_can_be_changed(open_page: Open, site: Site) -> None:
    page = open_page("/login")
    body = json.dumps({"name": "guest", "role": "viewer", "csrf": None})
    page.route(
        "**/api/v1/session", lambda route: route.fulfill(body=body, content_type="text/json")
    )
    page.goto(f"/runs/{site.runs['plain']}/candidates/1-0")
    expect(page.get_by_role("button", name="Star")).to_be_disabled()
    expect(page.get_by_role("button", name="Export")).to_be_disabled()
    expect(page.get_by_role("main")).to_contain_text("Your token only lets you look")


def test_an_export_is_followed_and_offered(open_page: Open, site: Site) -> None:
    run = site.runs["plain"]
    page = open_page(f"/runs/{run}/candidates/1-0")
    export = card(page, "Export")
    export.get_by_label("What is exported").select_option("recipe")
    export.get_by_role("button", name="Export").click()
    link = export.get_by_role("link")
    expect(link).to_be_visible(timeout=90_000)
    with page.expect_download() as found:
        link.click()
    recipe = yaml.safe_load(found.value.path().read_text())
    assert recipe == ask(page, f"runs/{run}/candidates/1-0")["recipe"]


def test_a_family_is_walked_by_keyboard(open_page: Open, site: Site) -> None:
    run = site.runs["niched"]
    page = open_page("/login")
    items = ask(page, f"runs/{run}/candidates")["items"]
    child = next(item for item in items if item["parents"])
    page.goto(f"/runs/{run}/candidates/{child['candidate']}")
    lineage = card(page, "Lineage")
    parent = child["parents"][0]
    link = lineage.locator("svg a", has_text=parent).first
    link.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/candidates/{parent}$"))
    expect(card(page, "Lineage").locator("svg a", has_text=child["candidate"])).to_have_count(1)


def test_a_route_is_drawn_with_all_its_steps(open_page: Open, site: Site) -> None:
    run = site.runs["routed"]
    page = open_page("/login")
    items = ask(page, f"runs/{run}/candidates")["items"]
    name = items[-1]["candidate"]
    route = ask(page, f"runs/{run}/candidates/{name}")["route"]
    page.goto(f"/runs/{run}/candidates/{name}")
    drawing = card(page, "Route").locator("svg")
    expect(drawing).to_have_attribute("aria-label", route["sentence"])
    ends = 1 + (1 if route["norm"] == route["head"] else 2)
    expect(drawing.locator(".stop")).to_have_count(len(route["runs"]) + ends)
    expect(drawing.locator(".taken")).to_have_count(
        sum(n > 0 for lane in route["lanes"] for n in lane["counts"])
    )


def test_a_failed_candidate_says_why(open_page: Open, site: Site) -> None:
    page = open_page(f"/runs/{site.runs['broken']}/candidates/0-0")
    expect(page.get_by_role("alert").first).to_contain_text(MARKUP)
    attempts = card(page, "Attempts")
    attempts.locator("summary").first.click()
    expect(attempts.locator("pre").first).to_contain_text(f"Traceback …\n{MARKUP}")


def test_several_stand_side_by_side(open_page: Open, site: Site) -> None:
    run = site.runs["plain"]
    page = open_page(f"/runs/{run}/compare?candidate=1-0&candidate=0-1")
    expect(page.locator("table.compared thead th")).to_have_count(3)
    page.get_by_label("add").fill("1-1")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("table.compared thead th")).to_have_text(
        ["objective or task", "1: 1-0", "2: 0-1", "3: 1-1"]
    )
    page.get_by_role("button", name="minus 1-0").click()
    page.get_by_role("button", name="Compare with 1-1 first").click()
    expect(page).to_have_url(re.compile(r"candidate=1-1&candidate=1-0&candidate=0-1&minus=first$"))
    expect(page.locator(".card p", has_text="0-1 − 1-1")).to_be_visible()
    page.get_by_role("button", name="Leave out 1-0").click()
    expect(page.locator("table.compared thead th")).to_have_count(3)
    (item,) = ask(page, f"runs/{run}/candidates/0-1/differences?against=1-1")["items"]
    for task in item["tasks"]:
        expect(page.locator("table.compared")).to_contain_text(
            f"{task['won']} won, {task['lost']} lost"
        )
