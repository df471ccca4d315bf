"""A new run: form and text in step, mistakes where they are, a submit that may be repeated."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from evomerge.config.yaml_text import parse_yaml
from tests.service.dashboard.conftest import Site

pytestmark = pytest.mark.browser

CHECK_MS = 120_000
CONFIGS = Path(__file__).parents[3] / "configs"
CHANGE = """async ([text, steps]) => {
  const { YamlText, changed, loadYaml } = await import("evomerge/parts/yaml_text.js");
  const { inLines } = await import("evomerge/parts/yaml_write.js");
  const parser = (await loadYaml()).language.parser;
  const plain = new YamlText(text, parser).value();
  for (const [what, ...given] of steps) {
    text = changed(text, [new YamlText(text, parser)[what](...given)]);
  }
  return { plain, text, written: plain && inLines(plain) };
}"""


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A page whose console isn't watched: a browser reports each mistake of a check there."""
    # So high that the editor draws all lines.
    viewport: Any = {"width": 1280, "height": 3000}
    context = browser.new_context(base_url=site.url, viewport=viewport)
    assert context.request.post("/api/v1/session", data={"token": site.token}).status == 201
    found = context.new_page()
    found.set_default_timeout(30_000)
    yield found
    context.close()


def text_of(page: Page) -> str:
    return page.get_by_role("textbox", name="Run file").inner_text()


def renamed(names: Iterable[str]) -> list[str]:
    return ["left" if name == "west" else name for name in names]


def test_form_and_text_keep_in_step_and_show_mistakes(page: Page, site: Site) -> None:
    page.goto(f"/new?run={site.runs['plain']}")
    status = page.get_by_label("Run file").get_by_role("status")
    expect(status).to_contain_text("No mistakes", timeout=CHECK_MS)
    before = parse_yaml(text_of(page), "text")
    page.get_by_label("Budget, in candidates").fill("0")
    page.get_by_label("Name of left").fill("west")
    page.get_by_label("Name of left").blur()
    wrong = page.get_by_role("list", name="Mistakes")
    expect(wrong).to_contain_text("search.budget", timeout=CHECK_MS)
    raw = parse_yaml(text_of(page), "text")
    assert raw["search"]["budget"] == 0
    assert renamed(raw["sources"]) == list(before["sources"])
    inputs = [found["recipe"]["parameters"][0]["inputs"] for found in (raw, before)]
    assert renamed(inputs[0]) == inputs[1]
    line = int(wrong.get_by_role("button").inner_text().removeprefix("line "))
    assert "budget: 0" in text_of(page).splitlines()[line - 1]
    wrong.get_by_role("button").click()
    page.keyboard.press("End")
    page.keyboard.press("Backspace")
    page.keyboard.type("9")
    expect(page.get_by_label("Budget, in candidates")).to_have_value("9")
    expect(status).to_contain_text("No mistakes", timeout=CHECK_MS)
    page.keyboard.press("Enter")
    page.keyboard.type("\tx: 1")
    expect(wrong).to_contain_text("a tab stands", timeout=CHECK_MS)


def test_a_submit_that_got_no_answer_is_sent_again_as_the_same(page: Page, site: Site) -> None:
    keys: list[str] = []
    job: dict[str, Any] = {"job_id": "0" * 32, "run_id": "1" * 32, "name": "x", "state": "queued"}

    def submitted(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.abort()
            return
        assert "name: plain" in json.loads(route.request.post_data or "")["text"]
        route.fulfill(status=201, json=job)

    page.route("**/api/v1/jobs", submitted)
    page.route("**/api/v1/jobs/0*", lambda route: route.fulfill(json=job))
    page.goto(f"/new?run={site.runs['plain']}")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("alert")).to_contain_text("can't be reached")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("waits for its turn")).to_be_visible()
    assert keys[0] == keys[1]


def test_viewers_look_but_do_not_submit(page: Page) -> None:
    viewer = {"name": "eve", "role": "viewer", "csrf": None}
    page.route("**/api/v1/session", lambda route: route.fulfill(json=viewer))
    page.goto("/new")
    expect(page.get_by_text("submitting needs an operator's")).to_be_visible()
    expect(page.get_by_role("button", name="Submit")).to_be_disabled()
    expect(page.get_by_label("Name", exact=True)).to_have_value("my-run")


def test_changes_leave_the_rest_of_a_text_alone(page: Page) -> None:
    page.goto("/new")
    expect(page.get_by_label("Name", exact=True)).to_be_visible()
    files = sorted(CONFIGS.glob("*.yaml"))
    assert files
    for file in files:
        text = file.read_text()
        found = page.evaluate(CHANGE, [text, []])
        assert found["plain"] == parse_yaml(text, file.name)
        assert parse_yaml(found["written"], file.name) == found["plain"]
    text = (CONFIGS / "quickstart.yaml").read_text()
    steps: list[list[Any]] = [
        ["set", ["name"], "no: 1 # x"],
        ["set", ["search", "options", "more"], [1, "1", None, "null"]],
        ["set", ["search", "stop", "stagnation"], 3],
        ["remove", ["sources", "reverse"]],
        ["set", ["sources", "new"], {"path": "demo/new"}],
        ["rename", ["sources", "sort"], "sorted"],
        ["remove", ["recipe", "parameters", 0, "method"]],
        ["set", ["recipe", "parameters", 1], {"method": "ties"}],
        ["remove", ["evaluators", "sort", "batch_size"]],
        ["remove", ["objectives", "mean"]],
    ]
    after = page.evaluate(CHANGE, [text, steps])["text"]
    wanted = parse_yaml(text, "text")
    wanted["name"] = "no: 1 # x"
    wanted["search"]["options"]["more"] = [1, "1", None, "null"]
    wanted["search"]["stop"] = {"stagnation": 3}
    del wanted["sources"]["reverse"]
    wanted["sources"] |= {"new": {"path": "demo/new"}, "sorted": wanted["sources"].pop("sort")}
    del wanted["recipe"]["parameters"][0]["method"]
    wanted["recipe"]["parameters"].append({"method": "ties"})
    del wanted["evaluators"]["sort"]["batch_size"]
    wanted["objectives"] = {}
    assert parse_yaml(after, "text") == wanted
    assert "# stages, in order" in after
    assert after.count("#") == text.count("#") + 1


def test_what_was_typed_survives_a_reload(page: Page) -> None:
    page.goto("/new")
    name = page.get_by_label("Name", exact=True)
    name.fill("typed")
    name.blur()
    page.reload()
    expect(name).to_have_value("typed")
    page.get_by_role("button", name="Start over").click()
    expect(name).to_have_value("my-run")
    page.reload()
    expect(name).to_have_value("my-run")


def test_a_check_that_answers_meanwhile_leaves_what_is_being_typed(page: Page) -> None:
    page.goto("/new")
    name = page.get_by_label("Name", exact=True)
    name.fill("typed")
    expect(page.locator(".field-problem, .state-failed").first).to_be_visible()
    expect(name).to_have_value("typed")
    name.blur()
    expect(page.locator(".cm-content")).to_contain_text("name: typed")
