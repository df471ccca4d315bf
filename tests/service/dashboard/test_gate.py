"""Who sees pages, and what pages may load."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.service.dashboard.conftest import Site

pytestmark = pytest.mark.browser


def test_a_stranger_is_led_to_the_login_page_and_back(browser: Browser, site: Site) -> None:
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    wanted = f"/runs/{site.runs['plain']}/front"
    page.goto(wanted)
    expect(page).to_have_url(re.compile("/login"))
    page.get_by_label("Token").fill("evm_000000000000_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("unknown")
    page.get_by_label("Token").fill(site.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(re.escape(wanted)))
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/login"))
    page.goto("/")
    expect(page).to_have_url(re.compile("/login"))
    context.close()


def test_only_local_addresses_are_gone_on_to(browser: Browser, site: Site) -> None:
    elsewhere = ("https://example.org/", "//example.org/", "/\\example.org", "/%09/example.org")
    for wanted in (*elsewhere, "javascript:1"):
        context = browser.new_context(base_url=site.url)
        page = context.new_page()
        page.goto(f"/login?next={wanted}")
        page.get_by_label("Token").fill(site.token)
        page.get_by_role("button", name="Sign in").click()
        expect(page).to_have_url(f"{site.url}/")
        context.close()


def test_strangers_and_other_sites_get_no_page_no_file_and_no_socket(
    browser: Browser, site: Site
) -> None:
    context = browser.new_context(base_url=site.url)
    ask = context.request
    socket = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
    assert ask.get("/", headers={"Accept": "application/json"}).status == 401
    assert ask.get(socket).status == 401
    assert ask.post("/api/v1/session", data={"token": site.token}).status == 201
    assert ask.get(socket).status == 200
    assert ask.get(socket, headers={"Origin": "https://example.org"}).status == 403
    nothing = ask.get("/api/v1/nothing")
    assert nothing.status == 404
    assert "error" in nothing.json()
    context.close()


def test_the_theme_is_kept(open_page: Callable[..., Page]) -> None:
    page = open_page("/", scheme="dark")
    expect(page.locator("body")).to_have_class(re.compile("body--dark"))
    page.get_by_role("button", name="Light or dark").click()
    expect(page.locator("body")).to_have_class(re.compile("body--light"))
    page.reload()
    expect(page.locator("body")).to_have_class(re.compile("body--light"))
