"""Executions are cancelled, tried again and forked, and really are."""

from __future__ import annotations

import json
import re
from uuid import uuid4

from playwright.sync_api import Locator, Page, expect

from polos import codec
from polos.model.states import Status
from tests.browser.site import Flower, Site
from tests.browser.watch import Watch, violations
from tests.support.processes import until


def go_to(page: Page, flower: Flower, execution_id: str) -> Locator:
    """An execution's page; where it says how that stands."""
    page.goto(f"{flower.url}/workflows/execution/{execution_id}")
    return page.locator("#head h1 .status")


def button(page: Page, name: str) -> Locator:
    return page.locator("#head").get_by_role("button", name=re.compile(f"^{name}"))


def toast(page: Page) -> Locator:
    return page.locator("#toast-container")


def test_a_family_is_cancelled(site: Site, flower: Flower, page: Page) -> None:
    id_ = site.start("family").id
    site.until(id_, Status.WAITING)
    status = go_to(page, flower, id_)
    button(page, "Cancel").click()
    asked = page.get_by_role("dialog", name=f"Cancel family {id_[:8]}…?")
    expect(asked).to_contain_text("Its 3 children are cancelled too.")
    assert violations(page) == []
    asked.get_by_role("button", name="Cancel it").click()
    expect(toast(page)).to_contain_text("is cancelled")
    expect(status).to_have_text("cancelled", timeout=20_000)
    # Downwards it goes on level by level.
    cancelled = {"parent_execution_id": id_, "statuses": (Status.CANCELLED,)}
    until(lambda: len(site.ids(**cancelled)) == 3)
    # What can't be done any more says why not.
    expect(button(page, "Cancel")).to_have_attribute("aria-disabled", "true")
    button(page, "Cancel").click(force=True)
    expect(page.get_by_role("alert").last).to_contain_text("It has ended: it is cancelled.")


def test_one_that_runs_is_cancelled(site: Site, flower: Flower, page: Page) -> None:
    id_ = site.start("toiler").id
    site.until(id_, Status.RUNNING)
    status = go_to(page, flower, id_)
    button(page, "Cancel").click()
    page.get_by_role("button", name="Cancel it").click()
    expect(toast(page)).to_contain_text("is being cancelled")
    expect(button(page, "Cancel")).to_have_attribute("aria-disabled", "true")
    expect(status).to_have_text("cancelled", timeout=20_000)


def test_a_failed_one_is_tried_again(site: Site, flower: Flower, page: Page) -> None:
    order = f"order-{uuid4()}"
    id_ = site.ended("payer", {"order": order}).id
    status = go_to(page, flower, id_)
    expect(status).to_have_text("failed")
    site.open(f"{order}-paid")
    button(page, "Retry").click()
    expect(page.get_by_role("dialog")).to_contain_text("the card was declined")
    expect(page.get_by_role("dialog")).to_contain_text(
        "1 step that has succeeded is not done again"
    )
    page.get_by_role("button", name="Retry it").click()
    expect(toast(page)).to_contain_text("is tried again")
    # The page had ended, and is live again.
    expect(status).to_have_text("completed", timeout=20_000)


def test_one_is_forked_from_a_step_with_another_payload(
    site: Site, flower: Flower, page: Page
) -> None:
    paid, order = f"paid-{uuid4()}", f"order-{uuid4()}"
    site.open(f"{paid}-paid")
    id_ = site.ended("payer", {"order": order}).id
    go_to(page, flower, id_)
    step = page.locator("#steps tbody").filter(has=page.get_by_text("pay", exact=True))
    step.locator("summary").first.click()
    step.get_by_role("button", name=re.compile("^Fork from here")).click()
    asked = page.get_by_role("dialog", name=f"Fork payer {id_[:8]}…?")
    expect(asked.get_by_label("First step that runs again")).to_have_value("pay")
    asked.get_by_label("With another payload").check()
    text = asked.get_by_label("Payload, JSON")
    expect(text).not_to_have_value("")
    assert json.loads(text.input_value()) == {"order": order}
    text.fill(json.dumps({"order": paid}))
    asked.get_by_role("button", name="Fork it").click()
    toast(page).get_by_role("link", name=re.compile("^payer")).click()
    expect(page).not_to_have_url(re.compile(id_))
    expect(page.locator("#head h1 .status")).to_have_text("completed", timeout=20_000)
    forked = page.url.rpartition("/")[2]
    assert site.client.get(forked).forked_from == id_
    assert codec.decode(site.client.get(forked).payload) == {"order": paid}
    assert site.client.get(id_).status is Status.FAILED


def test_a_step_that_is_not_there(site: Site, flower: Flower, page: Page, watch: Watch) -> None:
    watch.expect("Failed to load|status 404")
    id_ = site.ended("greeter", {}).id
    go_to(page, flower, id_)
    button(page, "Fork").click()
    page.get_by_label("First step that runs again").fill("no-such-step")
    page.get_by_role("button", name="Fork it").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("no-such-step")


def test_several_are_cancelled_from_the_list(site: Site, flower: Flower, page: Page) -> None:
    session = f"session-{uuid4()}"
    ids = [site.start("snoozer", session_id=session).id for _ in range(3)]
    for id_ in ids:
        site.until(id_, Status.WAITING)
    page.goto(f"{flower.url}/workflows?by=session&text={session}")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    for row in rows.all()[:2]:
        row.get_by_role("checkbox").check()
    page.get_by_role("button", name="Cancel selected").click()
    asked = page.get_by_role("dialog", name="Cancel 2 executions?")
    asked.get_by_role("button", name="Cancel 2").click()
    expect(toast(page)).to_contain_text("2 executions: is cancelled")
    expect(rows.filter(has_text="cancelled")).to_have_count(2, timeout=20_000)
    assert len(site.ids(session_id=session, statuses=(Status.WAITING,))) == 1
    page.get_by_role("button", name="Fork selected").click()
    expect(toast(page)).to_contain_text("Tick only one")
    rows.filter(has_text="cancelled").first.get_by_role("checkbox").uncheck()
    page.get_by_role("button", name="Fork selected").click()
    expect(page.get_by_role("dialog", name=re.compile("^Fork snoozer "))).to_be_visible()
    page.get_by_role("button", name="Fork it").click()
    expect(rows).to_have_count(4, timeout=20_000)


def test_one_is_cancelled_by_the_keyboard_alone(site: Site, flower: Flower, page: Page) -> None:
    id_ = site.start("snoozer").id
    site.until(id_, Status.WAITING)
    status = go_to(page, flower, id_)

    def tab_to(target: Locator) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if target.evaluate("(it) => it === document.activeElement"):
                return
        raise AssertionError("the Tab key doesn't lead there")

    # Past the navigation, by the link that is there for this.
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    tab_to(button(page, "Cancel"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Cancel it")).to_be_enabled()
    tab_to(page.get_by_role("button", name="Cancel it"))
    page.keyboard.press("Space")
    expect(status).to_have_text("cancelled", timeout=20_000)
    # The focus is where it was.
    expect(button(page, "Cancel")).to_be_focused()
