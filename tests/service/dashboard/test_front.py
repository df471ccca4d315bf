"""The front's page: its chart, the list beside it, and what its address keeps."""

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.service.dashboard.conftest import HOSTILE_TASK, Site

pytestmark = pytest.mark.browser

Open = Callable[..., Page]

# Where the points of the front lie on the page, with their candidates.
PLACES = """(chart) => {
  const { x, y, customdata } = chart.data.find((trace) => trace.name === "front");
  const { xaxis, yaxis } = chart._fullLayout;
  const box = chart.getBoundingClientRect();
  return x.map((_, i) => [
    box.left + xaxis._offset + xaxis.d2p(x[i]),
    box.top + yaxis._offset + yaxis.d2p(y[i]),
    customdata[i],
  ]);
}"""


def chart(page: Page) -> Locator:
    """Return the chart once it is drawn."""
    page.wait_for_function("performance.getEntriesByName('evomerge:drawn').length > 0")
    return page.locator(".js-plotly-plot")


def picture(page: Page, site: Site, run: str, query: str = "") -> Any:
    """Return what the API says of a front."""
    answer = page.request.get(f"/api/v1/runs/{site.runs[run]}/front{query}")
    assert answer.status == 200
    return answer.json()


def points(page: Page) -> Locator:
    """Return the list of points."""
    return page.locator(".card", has=page.get_by_role("heading", name="Points", exact=True))


def test_a_click_on_a_point_tells_of_its_candidate(open_page: Open, site: Site) -> None:
    page = open_page(f"/runs/{site.runs['plain']}/front?split=search")
    places = chart(page).evaluate(PLACES)
    front = picture(page, site, "plain", "?split=search")["front"]
    assert [candidate for _, _, candidate in places] == front["candidates"]
    x, y, candidate = places[-1]
    page.mouse.move(x - 3, y)
    page.mouse.move(x, y)
    card = page.locator(".hover-card")
    expect(card).to_contain_text(candidate)
    expect(card).to_contain_text(HOSTILE_TASK)  # an objective's name, as text
    page.mouse.click(x, y)
    summary = page.locator(".card", has=page.get_by_role("heading", name=candidate))
    expect(summary.get_by_role("link", name="Open the candidate")).to_have_attribute(
        "href", re.compile(f"/candidates/{candidate}$")
    )
    for name in front["value"]:
        value = front["value"][name][-1]
        expect(summary.get_by_role("row", name=name)).to_contain_text(f"{abs(value):.3f}")
    page.goto(page.url)  # The address keeps what is chosen.
    expect(page.get_by_role("heading", name=candidate)).to_be_visible()


def test_points_are_chosen_and_picked_by_keyboard(open_page: Open, site: Site) -> None:
    run = site.runs["plain"]
    page = open_page(f"/runs/{run}/front?split=search")
    chart(page)
    found = picture(page, site, "plain", "?split=search")
    points(page).get_by_label("Which points").select_option("others")
    first, second = sorted(found["others"]["candidates"])[:2]
    points(page).get_by_role("button", name=first, exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=first)).to_be_visible()
    for name in (first, second):
        points(page).get_by_label(f"Pick {name} for a comparison").focus()
        page.keyboard.press("Space")
    expect(page.get_by_role("link", name="Compare 2")).to_have_attribute(
        "href", f"/runs/{run}/compare?candidate={first}&candidate={second}"
    )


def test_the_split_and_the_axes_can_be_changed(open_page: Open, site: Site) -> None:
    page = open_page(f"/runs/{site.runs['plain']}/front?split=search")
    drawn = chart(page)
    page.get_by_role("button", name="validation", exact=True).click()
    found = picture(page, site, "plain", "?split=validation")
    names = [item["name"] for item in found["objectives"]]
    page.wait_for_function(
        "(n) => document.querySelector('.js-plotly-plot').data?.find((t) => t.name === 'front')"
        "?.x.length === n",
        arg=len(found["front"]["candidates"]),
    )
    page.get_by_label("Across").select_option(names[1])
    page.wait_for_url(lambda url: "split=validation" in url and "x=" in url)
    # The first draw of the exchanged axes.
    expected = found["front"]["value"][names[1]]
    page.wait_for_function(
        "(x) => `${document.querySelector('.js-plotly-plot').data?.find((t) => t.name === 'front')"
        "?.x.toSorted()}` === `${x.toSorted()}`",
        arg=expected,
    )
    assert drawn.count() == 1


def test_brushing_an_axis_filters_the_list(open_page: Open, site: Site) -> None:
    page = open_page(f"/runs/{site.runs['plain']}/front?split=search&shape=parallel")
    drawn = chart(page)
    axis = drawn.locator(".axis-brush").first.bounding_box()
    assert axis is not None
    x = axis["x"] + axis["width"] / 2
    page.mouse.move(x, axis["y"] + 0.3 * axis["height"])
    page.mouse.down()
    page.mouse.move(x, axis["y"] + 0.7 * axis["height"], steps=5)
    page.mouse.up()
    clear = page.get_by_role("button", name="Remove all ranges")
    expect(clear).to_be_visible()
    found = picture(page, site, "plain", "?split=search")
    name = found["objectives"][0]["name"]
    low, high = drawn.evaluate("(chart) => chart.data[0].dimensions[0].constraintrange")
    kinds = {
        "On the front": "front",
        "Base, sources, starts": "landmarks",
        "Others": "others",
    }
    shown = points(page).get_by_label("Which points")
    inside = {
        word: sum(low <= value <= high for value in found[kind]["value"][name])
        for word, kind in kinds.items()
    }
    assert 0 < sum(inside.values()) < sum(len(found[k]["candidates"]) for k in kinds.values())
    for word, n in inside.items():
        expect(shown).to_contain_text(f"{word} ({n})")
    clear.click()
    expect(shown).to_contain_text(f"Others ({len(found['others']['candidates'])})")


def test_three_objectives_are_drawn_in_space(open_page: Open, site: Site) -> None:
    page = open_page("/")
    found = with_a_third(picture(page, site, "plain", "?split=search"))

    def answer(route: Route) -> None:
        route.fulfill(body=json.dumps(found), content_type="application/json")

    page.route("**/api/v1/runs/*/front*", answer)
    page.goto(f"/runs/{site.runs['plain']}/front?split=search")
    drawn = chart(page)
    front = found["front"]
    trace = drawn.evaluate("(chart) => chart.data.find((trace) => trace.name === 'front')")
    assert trace["type"] == "scatter3d"
    assert [trace["x"], trace["y"], trace["z"]] == list(front["value"].values())
    points(page).get_by_role("button", name=front["candidates"][0], exact=True).click()
    page.wait_for_function(
        "document.querySelector('.js-plotly-plot').data.some((t) => t.marker?.size === 14)"
    )


def with_a_third(found: dict[str, Any]) -> dict[str, Any]:
    """Return a picture with one more objective."""
    more = copy.deepcopy(found)
    axis = {"name": "third", "direction": "minimize"}
    for key in ("objectives", "known"):
        more[key].append(axis)
    for kind in ("front", "others", "landmarks"):
        n = len(more[kind]["candidates"])
        for part in ("value", "low", "high"):
            if part in more[kind]:
                more[kind][part]["third"] = [float(i) for i in range(n)]
    return more


def test_one_objective_is_drawn_over_the_search(open_page: Open, site: Site) -> None:
    page = open_page(f"/runs/{site.runs['niched']}/front?split=search")
    drawn = chart(page)
    others = picture(page, site, "niched", "?split=search")["others"]
    trace = drawn.evaluate("(chart) => chart.data.find((trace) => trace.name.startsWith('other'))")
    assert trace["x"] == others["asks"]
    assert trace["y"] == others["value"]["mean"]


def test_a_chosen_candidate_is_led_to_from_its_parents(open_page: Open, site: Site) -> None:
    run = site.runs["niched"]
    page = open_page("/")
    listed = page.request.get(f"/api/v1/runs/{run}/candidates?status=done").json()["items"]
    child = next(item for item in listed if item["parents"])
    page.goto(f"/runs/{run}/front?split=search&candidate={child['candidate']}")
    drawn = chart(page)
    page.wait_for_function(
        "document.querySelector('.js-plotly-plot').data?.some((t) => /^parents/.test(t.name))"
    )
    trace = drawn.evaluate("(chart) => chart.data.find((trace) => /^parents/.test(trace.name))")
    details = {item["candidate"]: item for item in listed}
    expected = [details[name]["objectives"]["mean"]["value"] for name in child["parents"][:2]]
    assert trace["y"] == expected


def test_a_run_without_scores_leads_to_its_failures(open_page: Open, site: Site) -> None:
    page = open_page(f"/runs/{site.runs['broken']}/front")
    expect(page.get_by_text("No candidate is scored on the search split yet.")).to_be_visible()
    page.get_by_role("link", name=re.compile("failed$")).click()
    expect(page).to_have_url(re.compile("/candidates.status=failed$"))
    expect(page.get_by_role("row").nth(1)).to_contain_text("failed")
