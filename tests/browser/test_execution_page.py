"""The page of an execution where no worker is needed: written as it would stand in the store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from polos.codec import encode
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
