"""Runs as a list, two of them compared, jobs, a run as it goes on, its workers: in a browser."""

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.service.dashboard.conftest import MARKUP, Site, plain_config

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Open = Callable[..., Page]
LONG_MS = 120_000


def post(site: Site, address: str, body: Any) -> Any:
    """Ask the API to do something."""
    request = urllib.request.Request(
        f"{site.url}/api/v1{address}",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {site.token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=LONG_MS / 1000) as answer:
        return json.load(answer)


def state(page: Page) -> Any:
    return page.get_by_label("Run", exact=True).locator(".state")


def test_runs_are_searched_filtered_and_compared(open_page: Open, site: Site) -> None:
    page = open_page("/")
    rows = page.locator("table.runs tbody tr")
    for name in ("plain", "niched", MARKUP):
        expect(rows.filter(has=page.get_by_role("link", name=name, exact=True))).to_have_count(1)
    plain = rows.filter(has=page.get_by_role("link", name="plain", exact=True))
    expect(plain).to_contain_text("12/12")
    expect(plain).to_contain_text("copy")
    expect(plain.locator(".sparkline title")).to_have_text(re.compile(r"^copy from \S+ to \S+$"))

    page.get_by_role("button", name="failed", exact=True).click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(MARKUP)
    assert page.url.endswith("?state=failed")
    page.reload()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(MARKUP)
    page.get_by_role("button", name="failed", exact=True).click()
    page.get_by_label("Part of a run's name").fill("no such run")
    expect(page.get_by_role("main")).to_contain_text("No run is so.")
    page.get_by_role("button", name="Show all runs").click()

    for name in ("plain", "niched"):
        page.get_by_label(f"Compare {name}", exact=True).check()
    page.get_by_role("link", name="Compare these two").click()
    expect(page.locator("h1")).to_have_text("Compare two runs")
    searcher = page.get_by_role("row").filter(has_text="search.searcher")
    expect(searcher).to_contain_text("nsga2")
    expect(searcher).to_contain_text("m2n2")
    expect(page.locator(".curve .main-svg").first).to_be_visible()
    # The objective that only one of them has is a chart of one line.
    expect(
        page.get_by_role("img", name=re.compile("^copy, higher is better: plain"))
    ).to_be_visible()
    assert page.url.endswith(f"/compare?run={site.runs['plain']}&run={site.runs['niched']}")


def test_a_run_without_scores_says_why(open_page: Open, site: Site) -> None:
    run = site.runs["broken"]
    page = open_page(f"/runs/{run}")
    expect(page.locator("h1")).to_have_text(MARKUP)
    expect(state(page)).to_have_text("failed")
    expect(page.get_by_text("No candidate has a score")).to_have_count(2)
    failures = page.locator("section").filter(has=page.get_by_role("heading", name="Failures"))
    expect(failures).to_contain_text("exception")
    expect(failures).to_contain_text("nan")
    expect(failures).to_contain_text(MARKUP)
    first = failures.locator(".last a").first
    expect(first).to_have_attribute("href", re.compile(rf"^/runs/{run}/candidates/\d+-\d+"))
    page.goto(f"/runs/{run}/workers")
    expect(page.get_by_role("main")).to_contain_text("Nobody drives this run")
    row = page.get_by_role("row").filter(has_text="exception")
    expect(row).to_contain_text("100")  # per cent of its attempts failed


def test_a_finished_run_shows_its_best_with_its_interval(open_page: Open, site: Site) -> None:
    page = open_page(f"/runs/{site.runs['plain']}")
    best = page.get_by_label("Figures").locator(".wide-figure").first
    expect(best).to_contain_text("copy (validation)")
    expect(best).to_contain_text(re.compile(r"\d\.\d{3} \[.+, .+\]"))
    chart = page.get_by_role("img", name=re.compile("^copy, higher is better"))
    expect(chart.locator(".main-svg").first).to_be_visible()
    page.get_by_role("button", name="by time").click()
    expect(chart).to_contain_text("since the run was begun")
    assert page.url.endswith("?by=time")


def test_a_job_is_watched_paused_resumed_and_stopped(open_page: Open, site: Site) -> None:
    config = plain_config()
    config["name"] = "watched"
    config["search"]["budget"] = 4000
    run = post(site, "/jobs", {"config": config})["run_id"]
    page = open_page(f"/runs/{run}")
    expect(page.locator("h1")).to_have_text("watched")
    expect(state(page)).to_have_text("running", timeout=LONG_MS)
    done = page.get_by_label("Figures").get_by_text(re.compile(r"^\d+ of 4"))
    expect(done).not_to_have_text(re.compile("^0 of"), timeout=LONG_MS)
    before = done.text_content()
    expect(done).not_to_have_text(str(before), timeout=LONG_MS)  # it goes on by itself

    page.get_by_role("button", name="Pause").click()
    expect(state(page)).to_have_text("stopped", timeout=LONG_MS)
    page.get_by_role("button", name="Resume").click()
    expect(state(page)).to_have_text("running", timeout=LONG_MS)
    expect(page.get_by_role("button", name="Stop…")).to_be_enabled(timeout=LONG_MS)
    page.get_by_role("button", name="Stop…").click()
    page.get_by_role("button", name="Stop it").click()
    expect(state(page)).to_have_text("stopped", timeout=LONG_MS)

    page.goto(f"/jobs?run={run}")
    row = page.locator("table.runs tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("cancelled", timeout=LONG_MS)
    row.get_by_role("button", name="Log").click()
    expect(page.get_by_role("dialog")).to_contain_text("watched")


def test_an_export_is_downloaded_from_the_jobs(open_page: Open, site: Site) -> None:
    run = site.runs["plain"]
    job = post(site, f"/runs/{run}/exports", {"candidate": "best", "format": "recipe"})
    page = open_page(f"/jobs?kind=export&run={run}")
    link = page.locator("tr", has_text=job["name"]).first.get_by_role("link", name="Download")
    link.wait_for(timeout=LONG_MS)
    with page.expect_download() as begun:
        link.click()
    assert "evomerge_recipe" in Path(begun.value.path()).read_text()


def test_a_viewer_sees_what_operators_may_do(open_page: Open, site: Site) -> None:
    command = [sys.executable, "-m", "evomerge.cli.main", "token", "create", "guest"]
    made = subprocess.run(
        [*command, "--role", "viewer"], cwd=site.folder, capture_output=True, text=True, check=True
    )
    token = re.search(r"evm_\S+", made.stdout)
    assert token is not None
    page = open_page("/login")
    page.context.clear_cookies()
    page.context.request.post("/api/v1/session", data={"token": token[0]})
    page.goto(f"/runs/{site.runs['broken']}")
    expect(page.get_by_role("button", name="Resume")).to_be_disabled()
    reason = page.get_by_label("Actions").get_by_text("Your token only lets you look")
    expect(reason).to_be_visible(timeout=LONG_MS)
    page.goto("/jobs")
    expect(page.get_by_role("main")).to_contain_text(
        "jobs are changed by operators", timeout=LONG_MS
    )
