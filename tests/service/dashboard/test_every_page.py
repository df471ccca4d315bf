"""What holds on every page: accessible, markup is text, nothing sideways, never blank."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.service.dashboard.conftest import MARKUP, Site
from tests.service.dashboard.pages import addresses

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SHAPES = {
    "screen, light": {"width": 1280, "height": 800, "scheme": "light"},
    "phone, dark": {"width": 390, "height": 844, "scheme": "dark"},
}


def settle(page: Page) -> None:
    """Wait until the page shows what it loads."""
    expect(page.locator("main h1").first).to_be_visible()
    expect(page.locator(".q-skeleton")).to_have_count(0)
    page.wait_for_timeout(200)


def serious(page: Page) -> list[str]:
    """Return what axe-core finds serious or critical."""
    found = Axe().run(page).response["violations"]
    return [
        f"{item['id']}: {item['help']}: {[node['html'][:160] for node in item['nodes'][:3]]}"
        for item in found
        if item["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_page(open_page: Callable[..., Page], site: Site, shape: str) -> None:
    page = open_page("/", **SHAPES[shape])
    wrong: list[str] = []
    for name, address in addresses(site).items():
        page.goto(address)
        settle(page)
        wrong += [f"{name}: {text}" for text in serious(page)]
        if page.evaluate("window.hacked") is not None:
            wrong.append(f"{name}: markup was run")
        if page.locator("main img[src=x], main b:text-is('bold'), main i:text-is('next')").count():
            wrong.append(f"{name}: markup became elements")
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if wide > 0:
            wrong.append(f"{name}: {wide} px too wide")
        if page.locator("main h1").count() != 1:
            wrong.append(f"{name}: not one h1")
    assert wrong == []


def test_markup_shows_as_it_is(open_page: Callable[..., Page], site: Site) -> None:
    found = addresses(site)
    page = open_page("/")
    expect(page.locator("main")).to_contain_text(MARKUP)
    for name in ("broken live", "broken candidate", "candidate"):
        page.goto(found[name])
        expect(page.locator("main")).to_contain_text(MARKUP)
