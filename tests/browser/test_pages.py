"""Every page of the tab, as people find it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from polos.model.states import Status
from tests.browser.conftest import Open
from tests.browser.site import Flower, Site
from tests.browser.watch import HOSTILE, Scales, Watch, is_pwned, overflow, violations
from tests.support.processes import until

MOST_BYTES = 100_000


@dataclass(frozen=True)
class Past:
    """What has happened on the site."""

    greeted: str
    failed: str
    family: str
    hostile: str
    long: str


@pytest.fixture(scope="module")
def past(site: Site) -> Past:
    """One execution of each sort."""
    family = site.start("family", session_id="s-7", tags=("eu", "vip")).id
    failed = site.ended("payer", {"order": "never"}).id
    nested = {"rows": [{"number": n, "text": f"row {n}"} for n in range(2000)]}
    past = Past(
        greeted=site.ended("greeter", {"name": "Alice"}).id,
        failed=failed,
        family=family,
        hostile=site.ended("echo", {HOSTILE: [HOSTILE], "card_number": "4242 4242"}).id,
        long=site.ended("echo", nested).id,
    )
    site.until(family, Status.WAITING)
    until(lambda: len(site.ids(parent_execution_id=family)) == 3)
    return past


PAGES: dict[str, Callable[[Past], str]] = {
    "list": lambda past: "/workflows",
    "list-filtered": lambda past: "/workflows?status=failed&workflow=payer",
    "list-empty": lambda past: "/workflows?by=session&text=nobody",
    "execution-completed": lambda past: f"/workflows/execution/{past.greeted}",
    "execution-failed": lambda past: f"/workflows/execution/{past.failed}",
    "execution-waiting": lambda past: f"/workflows/execution/{past.family}",
    "execution-hostile": lambda past: f"/workflows/execution/{past.hostile}",
    "execution-long": lambda past: f"/workflows/execution/{past.long}",
    "execution-missing": lambda past: f"/workflows/execution/{uuid4()}",
    "overview": lambda past: "/workflows/overview",
    "start": lambda past: "/workflows/start",
    "start-form": lambda past: "/workflows/start/order_processor",
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_seen_and_heard_by_all(
    site: Site,
    flower: Flower,
    past: Past,
    open_page: Open,
    watches: list[Watch],
    photograph: Any,
    name: str,
) -> None:
    """Light and dark, wide and narrow: no trouble, nothing hard to read, too wide or too heavy."""
    address = f"{flower.url}{PAGES[name](past)}"
    for scheme in ("light", "dark"):
        page = open_page(color_scheme=scheme)
        if name == "execution-missing":
            watches[-1].expect("status 404|Failed to load")
        weighed = Scales(page)
        page.goto(address, wait_until="networkidle")
        assert weighed.ours() < MOST_BYTES, weighed
        expect(page.locator("html")).to_have_attribute("data-bs-theme", scheme)
        expect(page.locator("#main-content h1").first).to_be_visible()
        assert violations(page) == []
        photograph(page, f"{name}-{scheme}")
        page.set_viewport_size({"width": 390, "height": 844})
        assert overflow(page) <= 0
        assert not is_pwned(page)
    photograph(page, f"{name}-phone")


def test_the_list_is_filtered_and_leads_to_executions(
    flower: Flower, past: Past, page: Page
) -> None:
    page.goto(f"{flower.url}/workflows")
    tab = page.get_by_role("navigation", name="Primary").get_by_role("link", name="Workflows")
    expect(tab).to_have_attribute("aria-current", "page")
    rows = page.locator("tbody tr")
    expect(rows.first).to_be_visible()
    page.get_by_label("Statuses").get_by_role("link", name="failed").click()
    expect(page).to_have_url(re.compile("status=failed"))
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("payer")
    page.goto(f"{flower.url}/workflows")
    page.get_by_label("Workflow", exact=True).select_option("family")
    expect(page).to_have_url(re.compile("workflow=family"))
    expect(rows).to_have_count(1)
    page.goto(f"{flower.url}/workflows")
    page.get_by_label("Look for").select_option("tag")
    page.get_by_label("Text").fill("vip")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    page.get_by_role("link", name=past.family).click()
    expect(page).to_have_url(re.compile(f"/workflows/execution/{past.family}"))
    expect(page.get_by_role("heading", name="family")).to_be_visible()


def test_the_list_has_pages(site: Site, flower: Flower, page: Page) -> None:
    for _ in range(55):
        site.start("snoozer", session_id="many")
    page.goto(f"{flower.url}/workflows?by=session&text=many")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    page.get_by_role("link", name="Older").click()
    expect(rows).to_have_count(5)
    page.get_by_role("link", name="Newer").click()
    expect(rows).to_have_count(50)


def test_the_list_keeps_up(site: Site, flower: Flower, page: Page) -> None:
    gate = f"gate-{uuid4()}"
    page.goto(f"{flower.url}/workflows?workflow=stages")
    id_ = site.start("stages", {"gates": [gate]}).id
    row = page.locator("tbody tr").filter(has_text=id_)
    expect(row).to_contain_text("running", timeout=20_000)
    box = row.get_by_role("checkbox")
    box.check()
    site.open(gate)
    expect(row).to_contain_text("completed", timeout=20_000)
    # What was ticked is still that row.
    expect(box).to_be_checked()


def test_an_execution_is_live_until_it_ends(site: Site, flower: Flower, page: Page) -> None:
    gates = [f"{name}-{uuid4()}" for name in ("one", "two")]
    id_ = site.start("stages", {"gates": gates}).id
    site.until(id_, Status.RUNNING)
    page.goto(f"{flower.url}/workflows/execution/{id_}")
    status = page.locator("#head h1 .status")
    expect(status).to_have_text("running")
    expect(page.locator(".polos-live-state")).to_have_text("Live")
    site.open(gates[0])
    expect(page.locator("#steps")).to_contain_text(f"through-{gates[0]}", timeout=20_000)
    site.open(gates[1])
    expect(status).to_have_text("completed", timeout=20_000)
    expect(page.locator(".polos-live-state")).to_have_text("Ended", timeout=20_000)
    expect(page.locator("body > [role=status]")).to_contain_text("stages: completed")
    expect(page.locator("#steps")).to_contain_text(f"through-{gates[1]}")


def test_long_values_are_folded(flower: Flower, past: Past, page: Page) -> None:
    page.goto(f"{flower.url}/workflows/execution/{past.long}")
    payload = page.locator("details").filter(has_text="Payload").first
    expect(payload).not_to_have_attribute("open", "")
    payload.locator("summary").first.click()
    expect(payload).to_contain_text('"row 1"')
    page.get_by_role("link", name="Whole value").first.click()
    expect(page.locator("body")).to_contain_text('"row 1999"')


def test_values_full_of_script_are_text(flower: Flower, past: Past, page: Page) -> None:
    page.goto(f"{flower.url}/workflows/execution/{past.hostile}")
    for summary in page.locator("summary").all():
        if not summary.evaluate("(it) => it.parentElement.open"):
            summary.click()
    expect(page.locator("#main-content")).to_contain_text("<script>window.__pwned=1</script>")
    expect(page.locator("#main-content")).not_to_contain_text("4242 4242")
    assert not is_pwned(page)


def test_family_links_lead_up_and_down(flower: Flower, past: Past, page: Page) -> None:
    page.goto(f"{flower.url}/workflows/execution/{past.family}")
    page.locator("#family").get_by_role("link", name="snoozer").first.click()
    expect(page.get_by_role("heading", name="snoozer")).to_be_visible()
    page.locator("#family").get_by_role("link", name="family").first.click()
    expect(page).to_have_url(re.compile(past.family))
