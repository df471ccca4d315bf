"""A report is one file: it shows a run without a network, and asks nobody for anything."""

import contextlib
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from evomerge.evaluation.intervals import Estimate
from evomerge.runs.reading.comparison import Difference
from evomerge.runs.reading.results import RunResults
from evomerge.runs.report import Contestant, Report
from evomerge.service.reports import write_report
from tests.service.dashboard.conftest import MARKUP, Site

pytestmark = pytest.mark.browser

SCORE = Estimate(0.5, 0.25, 0.75, 12)


def report_of(folder: Path) -> Report:
    """Return a table as the test split would give it: base, and the best found."""
    results = RunResults.open(folder)
    try:
        best = results.show("best")
        tasks = dict.fromkeys(results.row.config["evaluators"], SCORE)
        goals = dict.fromkeys(results.row.config["objectives"], SCORE)
    finally:
        results.close()
    return Report(
        name=results.row.name,
        contestants=[
            Contestant("ref-base", MARKUP, "0" * 64, tasks, goals),
            Contestant(best.candidate, "best found", best.recipe_hash, tasks, goals),
        ],
        metrics=dict.fromkeys(tasks, "exact"),
        directions=dict.fromkeys(goals, "maximize"),
        differences=[Difference(next(iter(goals)), best.candidate, "ref-base", SCORE)],
        openings=2,
        recipe=best.recipe,
    )


def opened(browser: Browser, site: Site, name: str, out: Path) -> tuple[Page, list[str]]:
    """Write a run's report and open it from the disk; return also what it asked for or said."""
    with contextlib.chdir(site.folder):
        folder = Path("runs") / name
        write_report(folder, report_of(folder), out)
    wrong: list[str] = []
    context = browser.new_context(offline=True, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.on("request", lambda request: wrong.append(request.url))
    page.on("console", lambda said: wrong.append(said.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(out.as_uri())
    expect(page.locator("#report[data-ready]")).to_be_attached(timeout=60_000)
    local = (out.as_uri(), "data:", "blob:")
    return page, [item for item in wrong if not item.startswith(local)]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("plain", ["On the test split", "Front of the finalists", "Provenance"]),
        ("niched", ["Who covers what", "Coverage over the search"]),
        ("routed", ["How the best model is made"]),
    ],
)
def test_it_shows_a_run_without_asking_anybody(
    browser: Browser, site: Site, tmp_path: Path, name: str, parts: list[str]
) -> None:
    page, wrong = opened(browser, site, name, tmp_path / "out" / "report.html")
    assert wrong == []
    for title in parts:
        expect(page.get_by_role("heading", name=title).first).to_be_visible()
    expect(page.get_by_role("cell", name=MARKUP)).to_be_visible()
    assert page.evaluate("window.hacked") is None
    assert page.locator("#report b").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    drawn = page.locator("#report .js-plotly-plot, #report svg.drawing").count()
    assert drawn >= 3
    if name == "routed":
        assert page.locator("#report svg.drawing").count() == 1
    page.get_by_text("Recipe of the best model").click()
    expect(page.get_by_text("evomerge_recipe: 1")).to_be_visible()
    page.context.close()


def test_it_names_no_ledger_and_is_replaced_whole(site: Site, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_text("before")
    with contextlib.chdir(site.folder):
        folder = Path("runs/plain")
        write_report(folder, report_of(folder), out)
    text = out.read_text()
    assert text.startswith("<!doctype html>")
    assert "sqlite:" not in text
    assert str(site.folder) not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html"]
