"""The whole way of a user: sign in, submit the quickstart, watch it, choose, export, load."""

import json
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.fixtures_models import tiny_model
from tests.service.dashboard.conftest import Site, served

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
SEARCHED_S = 240


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """What the quickstart needs: its run file, four models and three tasks; no run yet."""
    folder = tmp_path_factory.mktemp("workshop")
    shutil.copytree(ROOT / "configs", folder / "configs")
    for seed, name in enumerate(("base", "reverse", "sort", "successor")):
        tiny_model("llama", folder / "demo" / name, seed=seed)
        lines = [
            json.dumps({"prompt": f"{name} {index}=", "answer": "abcdefgh"[index % 8]})
            for index in range(800)
        ]
        (folder / "demo" / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    with served(folder) as site:
        yield site


def test_from_signing_in_to_a_model_that_transformers_loads(
    workshop: Site, browser: Browser, tmp_path: Path
) -> None:
    context = browser.new_context(base_url=workshop.url, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(30_000)
    sign_in(page, workshop)
    submit(page)
    watch(page)
    open_a_point(page)
    read(page)
    file = export(page, tmp_path)
    context.close()
    load(file, tmp_path)


def sign_in(page: Page, site: Site) -> None:
    page.goto("/")
    page.get_by_label("Token").fill(site.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()


def submit(page: Page) -> None:
    page.get_by_role("link", name="New run").first.click()
    expect(page.get_by_label("Start from")).to_have_value("quickstart")
    page.get_by_label("Budget, in candidates").fill("24")
    page.get_by_label("Population").fill("8")
    page.get_by_label("Name", exact=True).fill("first-search")
    expect(page.locator(".cm-content")).to_contain_text("budget: 24")
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url(re.compile("/runs/[0-9a-f]{32}$"), timeout=1000 * SEARCHED_S)


def watch(page: Page) -> None:
    """See it end without loading the page again."""
    page.evaluate("window.stayed = true")
    expect(page.get_by_role("heading", name="first-search")).to_be_visible()
    bar = page.get_by_role("banner", name="Run").or_(page.locator("header[aria-label=Run]")).first
    expect(bar.locator(".state-finished")).to_be_visible(timeout=1000 * SEARCHED_S)
    expect(bar).to_contain_text("24 of 24")
    assert page.evaluate("window.stayed")


def open_a_point(page: Page) -> None:
    """Click a point of the front's chart, and go to its candidate."""
    page.get_by_role("link", name="Front", exact=True).click()
    chart = page.locator(".js-plotly-plot").first
    chart.wait_for()
    page.wait_for_timeout(1000)
    x, y = chart.evaluate(
        """(chart) => {
          const front = chart._fullData.find((item) => /front/i.test(item.name));
          const { x, y } = front;
          const { xaxis, yaxis } = chart._fullLayout;
          const box = chart.querySelector(".nsewdrag").getBoundingClientRect();
          return [box.left + xaxis.d2p(x[0]), box.top + yaxis.d2p(y[0])];
        }"""
    )
    page.mouse.move(x, y)
    page.wait_for_timeout(300)
    page.mouse.click(x, y)
    page.get_by_role("link", name=re.compile("^Open")).first.click()
    page.wait_for_url(re.compile("/candidates/"))


def read(page: Page) -> None:
    """Read the heat map of a candidate that differs by layer, and compare it with a source."""
    page.goto(page.url.rpartition("/")[0] + "/1-0")
    coefficients = page.get_by_role("region", name="Coefficients", exact=True)
    expect(coefficients.get_by_role("img").first).to_be_visible()
    expect(coefficients).to_contain_text("by layer and source")
    page.get_by_label("compare with").fill("0-0")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page).to_have_url(re.compile("against=0-0"))
    scores = page.get_by_role("region", name="Scores by task").first
    expect(scores).to_contain_text("against 0-0 the base")
    expect(scores).to_contain_text(re.compile("better|worse|no clear difference"))


def export(page: Page, folder: Path) -> Path:
    """Export it as a checkpoint and download the file."""
    page.get_by_role("button", name="Export", exact=True).click()
    link = page.get_by_role("link", name=re.compile(r"\.tar$"))
    link.wait_for(timeout=1000 * SEARCHED_S)
    with page.expect_download() as started:
        link.click()
    file = folder / started.value.suggested_filename
    started.value.save_as(file)
    return file


def load(file: Path, folder: Path) -> None:
    """Load what was downloaded with transformers, and let it answer."""
    with tarfile.open(file) as archive:
        archive.extractall(folder, filter="data")
    checkpoint = folder / file.stem
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    answer = model.generate(**tokenizer("sort 1=", return_tensors="pt"), max_new_tokens=2)
    assert answer.shape[1] > 2
