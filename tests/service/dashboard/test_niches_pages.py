"""Niches and parameters in a browser, against what the API gives."""

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.service.dashboard.conftest import HOSTILE_SOURCE, HOSTILE_TASK, Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Open = Callable[..., Page]
HEAT = """(element) => {
    const [trace] = element.data;
    return {z: trace.z.map((row) => Array.from(row)), ticks: element.layout.yaxis.ticktext};
}"""


def get(site: Site, address: str) -> Any:
    """Ask the API."""
    request = urllib.request.Request(
        f"{site.url}/api/v1{address}", headers={"Authorization": f"Bearer {site.token}"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def chart(page: Page, title: str) -> Any:
    """Return the chart of the card with that title."""
    return page.get_by_role("region", name=title, exact=True).locator(".js-plotly-plot")


def test_niches_show_who_covers_what(open_page: Open, site: Site) -> None:
    run = site.runs["niched"]
    found = get(site, f"/runs/{run}/niches")["examples"]
    names = [member["candidate"] for member in found["members"]]
    page = open_page(f"/runs/{run}/niches")
    expect(chart(page, "Who covers what")).to_be_visible()
    drawn = chart(page, "Who covers what").evaluate(HEAT)
    assert drawn["ticks"] == [*names, "", "all together"]
    shown = [[value for value in row if value is not None] for row in drawn["z"]]
    assert shown[: len(names)] == found["map"]["scores"]
    assert shown[-1] == found["map"]["best"]
    members = page.get_by_role("region", name="Members", exact=True).first.locator("tbody tr")
    expect(members).to_have_count(len(names))
    expect(members.first).to_contain_text(names[0])
    for title in ("Coverage over the search", "Who would attract whom now"):
        expect(chart(page, title)).to_be_visible()
    # A task's name is text on the axis.
    expect(chart(page, "Who covers what").locator(".xtick")).to_contain_text(["copy", HOSTILE_TASK])

    page.goto(f"/runs/{site.runs['plain']}/niches")
    expect(page.get_by_role("main")).to_contain_text("a search by nsga2, which keeps no archive")
    page.goto(f"/runs/{site.runs['broken']}/niches")
    expect(page.get_by_role("main")).to_contain_text("This run has no niches to show.")


def test_parameters_show_slices_of_chosen_genes(open_page: Open, site: Site) -> None:
    run = site.runs["plain"]
    found = get(site, f"/runs/{run}/parameters")
    genes = [gene["name"] for gene in found["genes"]]
    assert any(HOSTILE_SOURCE in name for name in genes)
    page = open_page(f"/runs/{run}/parameters")
    expect(page.get_by_role("main")).to_contain_text("12 candidates have scores")
    slices = chart(page, "copy along the genes")
    expect(slices.locator(".subplot")).to_have_count(len(found["slices"]["genes"]))
    expect(chart(page, "What rises together")).to_be_visible()
    expect(page.get_by_role("cell", name=genes[0], exact=True)).to_be_visible()

    page.get_by_role("combobox", name="Genes").click()
    page.get_by_role("option", name=genes[1], exact=True).click()
    page.keyboard.press("Escape")
    expect(slices.locator(".subplot")).to_have_count(1)
    page.get_by_role("button", name=HOSTILE_TASK, exact=True).click()
    # What is chosen can be shared.
    page.goto(page.url)
    slices = chart(page, f"{HOSTILE_TASK} along the genes")
    expect(slices.locator(".subplot")).to_have_count(1)
    values = slices.evaluate("(element) => element.data.flatMap((trace) => Array.from(trace.y))")
    assert sorted(values) == sorted(found["slices"]["objectives"][HOSTILE_TASK])

    page.goto(f"/runs/{site.runs['niched']}/parameters")
    expect(page.get_by_role("main")).to_contain_text("mean weight of each input over the model")
    page.goto(f"/runs/{site.runs['broken']}/parameters")
    expect(page.get_by_role("main")).to_contain_text("No candidate has scores yet.")
