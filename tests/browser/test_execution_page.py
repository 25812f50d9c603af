"""The page of an execution where no worker is needed: written as it would stand in the store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from polos.codec import encode
from polos.model.records import Kind
from polos.model.states import Status
from tests.browser.conftest import Open
from tests.browser.watch import overflow, violations
from tests.flower import executions
from tests.flower.executions import MS, SECOND, Written
from tests.flower.pages import Site, opened
from tests.store.scenes import edit

SHOWN = {
    "retries": "11111111-retries",
    "failure": "22222222-failed",
    "long-wait": "33333333-waiting",
    "children": "44444444-parent",
    "running": "55555555-running",
    "5000-steps": "66666666-many",
    "hostile-steps": "77777777-hostile",
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Flower on an execution of every kind."""
    folder: Path = tmp_path_factory.mktemp("shown")
    with opened(f"sqlite:///{folder / 'polos.db'}", sqlite_synchronous="NORMAL") as site:
        for make in executions.EVERY:
            make(site.store)
        yield site


def address(site: Site, id_: str, query: str = "") -> str:
    return f"{site.url}/workflows/execution/{id_}{query}"


@pytest.mark.parametrize("name", SHOWN)
def test_an_execution_of_every_kind_can_be_seen_and_heard_by_all(
    shown: Site, open_page: Open, photograph: Any, name: str
) -> None:
    for scheme in ("light", "dark"):
        page = open_page(color_scheme=scheme)
        page.goto(address(shown, SHOWN[name], "?view=order" if scheme == "dark" else ""))
        expect(page.locator("#timeline ol li").first).to_be_visible()
        assert violations(page) == []
        photograph(page, f"execution-{name}-{scheme}")
    page.set_viewport_size({"width": 390, "height": 844})
    assert overflow(page) <= 0
    photograph(page, f"execution-{name}-phone")


def test_a_step_is_reached_by_its_bar_with_the_keyboard(shown: Site, page: Page) -> None:
    page.goto(address(shown, "22222222-failed"))
    page.locator("#timeline").get_by_role("link", name="charge_card").focus()
    page.keyboard.press("Enter")
    step = page.locator("#steps tbody").filter(has_text="charge_card")
    expect(step.get_by_text("GatewayError: timeout")).to_be_visible()
    page.keyboard.press("Tab")
    step.get_by_text("Traceback", exact=True).click()
    expect(step.get_by_text('File "shop/gateway.py"')).to_be_visible()


def test_what_came_when_it_was_unfolded_keeps_the_focus_and_is_not_of_yesterday(
    shown: Site, page: Page
) -> None:
    it = Written(shown.store, "grows", 60 * SECOND)
    for number in range(20):
        it.step(f"step_{number}", 0, SECOND + number * MS, {"text": f"{number} " + "x" * 1500})
    it.wait("tried", 2 * SECOND, 3600 * SECOND, kind=Kind.STEP, input=b'"' + b"y" * 1500 + b'"')
    it.put(Status.RUNNING)
    page.goto(address(shown, "grows"))
    old = page.locator("#steps tbody").filter(has_text="step_19")
    tried = page.locator("#steps tbody").filter(has_text="tried")
    for step in (old, tried):
        expect(step.locator("details[data-polos-load]")).to_have_count(1)
        step.locator("details > summary").first.click()
        expect(step.locator("details .inner")).to_be_visible()
    old.locator("pre").focus()
    more = Written(shown.store, "grows", 30 * SECOND)
    more.step("tried", 0, SECOND, {"came": "z" * 1500}, turn=1)
    more.put_steps()
    expect(page.locator("#steps")).to_contain_text("21 recorded")
    expect(tried.locator("details .inner")).to_contain_text("zzzz")
    expect(old.locator("pre")).to_be_focused()


def test_what_is_unfolded_stays_so_while_the_page_keeps_up(shown: Site, page: Page) -> None:
    it = Written(shown.store, "live", 60 * SECOND)
    for number in range(20):
        it.step(f"step_{number}", 0, SECOND + number * MS, {"text": f"{number} " + "x" * 1500})
    it.put(Status.RUNNING)
    page.goto(address(shown, "live"))
    later = page.locator("#steps tbody").filter(has_text="step_19")
    expect(later.locator("details[data-polos-load]")).to_have_count(1)
    later.locator("summary").click()
    text = later.get_by_text("19 xxx").last
    expect(text).to_be_visible()
    payload = page.locator("#d-payload")
    payload.locator("summary").click()
    expect(payload).not_to_have_attribute("open", "")
    more = Written(shown.store, "live", 30 * SECOND)
    more.step("one_more", 0, SECOND, "is there", turn=1)
    more.put_steps()
    expect(page.locator("#steps")).to_contain_text("one_more")
    expect(text).to_be_visible()
    expect(payload).not_to_have_attribute("open", "")
    expect(page.locator("#timeline ol")).to_contain_text("one_more")
    ended = {"lease_token": None, "lease_owner": None, "lease_expires_at": None}
    ended |= {"status": "completed", "result": encode("done"), "finished_at": it.now}
    edit(shown.store.database, "live", **ended)
    expect(page.locator("#head h1 .status")).to_have_text("completed")
    expect(page.locator(".polos-live-state")).to_have_text("Ended")
    expect(text).to_be_visible()
    expect(page.locator("#d-result")).to_contain_text("done")


def test_pages_of_steps_are_turned(shown: Site, page: Page) -> None:
    page.goto(address(shown, "66666666-many"))
    pages = page.get_by_role("navigation", name="Pages of steps, timeline")
    expect(pages).to_contain_text("4,977–5,000 of 5,000")
    pages.get_by_role("link", name="First of 5 failed").click()
    expect(page.locator("#steps tbody").first).to_contain_text("row_00500")
    page.get_by_role("navigation", name="Scale").get_by_role("link", name="Gaps").click()
    expect(page.locator("#steps tbody").first).to_contain_text("row_00500")
    columns = page.locator("#timeline .strip a")
    columns.nth(2).click()
    expect(page).to_have_url(re.compile("steps=since:.*view=order"))


def test_the_id_is_copied(shown: Site, open_page: Open) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    page.goto(address(shown, "22222222-failed"))
    page.get_by_role("button", name="Copy the execution's id").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "22222222-failed"


def test_how_long_it_takes_is_by_the_clock_of_the_server(shown: Site, page: Page) -> None:
    Written(shown.store, "clocked", 60 * SECOND, workflow_id="clocked").put(Status.RUNNING)
    page.clock.set_fixed_time(datetime.now(UTC) + timedelta(days=3))
    page.goto(f"{shown.url}/workflows?workflow=clocked")
    expect(page.locator("[data-polos-since]")).to_have_text(re.compile(r"^\d+ min( \d+ s)?$"))


def test_who_chooses_by_keys_may_go_through_the_choices(shown: Site, page: Page) -> None:
    page.goto(f"{shown.url}/workflows")
    span = page.get_by_label("Created")
    span.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.wait_for_function("document.getElementById('polos-span').value === '24h'")
    expect(span).to_be_focused()
    assert page.url == f"{shown.url}/workflows"
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page).to_have_url(re.compile(r"\?span=24h"))
    page.get_by_label("Created").select_option("Last hour")
    expect(page).to_have_url(re.compile(r"\?span=1h"))
