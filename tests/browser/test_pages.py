"""Every page of the tab, as people find it."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.site import Flower, Site


def test_the_list_shows_what_was_started(site: Site, flower: Flower, page: Page) -> None:
    greeted = site.ended("greeter", {"name": "Alice"})
    page.goto(f"{flower.url}/workflows")
    expect(page.get_by_role("link", name="Workflows", exact=True)).to_have_attribute(
        "aria-current", "page"
    )
    expect(page.locator("#main-content")).to_contain_text(greeted.id)
