"""Workflows are started from a form that is made of their payloads' models."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from polos import codec
from polos.model.states import Status
from tests.browser.site import Flower, Site
from tests.browser.watch import HOSTILE, Watch, is_pwned, overflow, violations


@pytest.fixture(scope="module")
def bare(site: Site) -> Flower:
    """A Flower without any workflow's code."""
    return site.flower(app="tests.browser.proj:bare")


def field(page: Page, *path: str) -> Locator:
    """A field by the names that lead to it."""
    found = page.locator("#polos-fields")
    for name in path:
        found = found.locator(f'[data-field][data-name="{name}"]').first
    return found


def agree(page: Page, workflow: str) -> None:
    page.get_by_role("button", name="Start…").click()
    page.get_by_role("dialog", name=f"Start {workflow}?").get_by_role(
        "button", name="Start it"
    ).click()


def started_id(page: Page) -> str:
    """The execution whose page has come."""
    page.wait_for_url(re.compile("/workflows/execution/"))
    return urlsplit(page.url).path.rpartition("/")[2]


def payload_of(site: Site, execution_id: str) -> Any:
    return codec.plain(codec.decode(site.client.get(execution_id).payload, lenient=True))


@pytest.fixture
def order(page: Page, flower: Flower) -> Page:
    page.goto(f"{flower.url}/workflows/start/order_processor")
    return page


def test_a_workflow_is_chosen_and_started_with_its_defaults(
    site: Site, flower: Flower, page: Page
) -> None:
    page.goto(f"{flower.url}/workflows")
    page.get_by_role("navigation", name="Workflows").get_by_role("link", name="Start").click()
    row = page.get_by_role("listitem").filter(has=page.get_by_role("link", name="greeter"))
    expect(row).to_contain_text("Says hello.")
    expect(row).to_contain_text("a worker has it")
    page.get_by_role("link", name="greeter").click()
    expect(page.get_by_label("name")).to_have_value("World")
    agree(page, "greeter")
    site.until(started_id(page), Status.COMPLETED)


def test_every_kind_of_field_is_read(site: Site, order: Page) -> None:
    page = order
    page.get_by_label("order_id").fill("A-1\nB")
    page.get_by_label("amount").fill("12.5")
    page.get_by_label("price").fill("0.10")
    page.get_by_label("express").check()
    page.get_by_label("size").select_option("large")
    page.get_by_label("due", exact=True).fill("2030-01-31")
    page.get_by_label("ordered_at", exact=True).fill("2030-01-31T12:00:05")
    page.get_by_role("button", name="Add to labels").click()
    page.keyboard.type("first")
    page.get_by_role("button", name="Add to labels").click()
    page.keyboard.type("second")
    page.get_by_role("button", name="Remove labels 1").click()
    page.get_by_role("button", name="Add to items").click()
    page.keyboard.type("sku-1")
    expect(page.get_by_label("count")).to_have_value("1")
    page.get_by_label("count").fill("7")
    page.get_by_label("street").fill("Main Street")
    page.get_by_label("Kind of payment").select_option("Card")
    page.get_by_label("card_number").fill("4242")
    page.get_by_role("button", name="Add to notes").click()
    page.get_by_label("key", exact=True).fill("a note")
    page.get_by_label("value", exact=True).fill("3")
    page.get_by_label("anything").fill('{"deep": [1, 2]}')
    page.get_by_text("More options").click()
    page.get_by_label("Session").fill("s-1")
    page.get_by_label("User").fill("u-1")
    page.get_by_label("Tags").fill("shop, eu")
    agree(page, "order_processor")
    id_ = started_id(page)
    site.until(id_, Status.COMPLETED)
    assert payload_of(site, id_) == {
        "order_id": "A-1\nB",
        "amount": 12.5,
        "price": "0.10",
        "express": True,
        "size": "large",
        "due": "2030-01-31",
        "ordered_at": "2030-01-31T12:00:05+00:00",
        "labels": ["second"],
        "items": [{"sku": "sku-1", "count": 7}],
        "address": {"street": "Main Street", "zip": None},
        "payment": {"kind": "card", "card_number": "4242"},
        "notes": {"a note": 3},
        "anything": {"deep": [1, 2]},
    }
    execution = site.client.get(id_)
    assert (execution.session_id, execution.user_id) == ("s-1", "u-1")
    assert site.ids(tag="shop") == site.ids(tag="eu") == [id_]


def test_what_is_wrong_is_said_at_its_field(site: Site, order: Page, watch: Watch) -> None:
    watch.expect("Failed to load|status 422")
    before, page = site.ids(), order
    page.get_by_label("amount").fill("much")
    page.get_by_role("button", name="Add to items").click()
    page.get_by_label("count").fill("100")
    page.get_by_label("street").fill("x")
    page.get_by_label("Kind of payment").select_option("Card")
    agree(page, "order_processor")
    said = {
        ("order_id",): "Field required",
        ("amount",): "valid number",
        ("items", "sku"): "Field required",
        ("items", "count"): "less than or equal to 99",
        ("address", "street"): "at least 3 characters",
        ("payment", "card_number"): "Field required",
    }
    for path, text in said.items():
        wrong = field(page, *path).locator("> [data-wrong]")
        expect(wrong).to_contain_text(text)
        # It is read out with the field.
        expect(field(page, *path).locator("[data-value]")).to_have_attribute("aria-invalid", "true")
        ids = field(page, *path).locator("[data-value]").get_attribute("aria-describedby") or ""
        assert wrong.get_attribute("id") in ids.split()
    expect(page.locator("[data-wrong]:visible")).to_have_count(len(said))
    expect(page.get_by_role("alert").first).to_have_text("6 things to correct below.")
    expect(page.get_by_label("order_id")).to_be_focused()
    assert violations(page) == []
    assert site.ids() == before


def test_corrected_it_starts(site: Site, order: Page, watch: Watch) -> None:
    watch.expect("Failed to load|status 422")
    agree(order, "order_processor")
    expect(field(order, "order_id").locator("> [data-wrong]")).to_contain_text("Field required")
    order.get_by_label("order_id").fill("A")
    order.get_by_label("street").fill("Main Street")
    agree(order, "order_processor")
    site.until(started_id(order), Status.COMPLETED)


def test_the_form_and_its_json_are_the_same(order: Page) -> None:
    page = order
    payload = {
        "order_id": "A",
        "amount": 1.5,
        "price": "2.50",
        "express": True,
        "size": "large",
        "due": "2030-01-31",
        "ordered_at": "2030-01-31T10:00:05Z",
        "labels": ["a", "b"],
        "items": [{"sku": "s", "count": 2}, {"sku": "t", "count": 1}],
        "address": {"street": "Main Street", "zip": "12345"},
        "payment": {"kind": "card", "card_number": "1"},
        "notes": {"x": 1, "__proto__": 2},
        "anything": [None, {"a": 1}],
    }
    switch = page.get_by_role("switch", name="Payload as JSON")
    switch.check()
    text = page.locator("#polos-json [data-value]")
    text.fill(json.dumps(payload))
    switch.uncheck()
    expect(page.get_by_label("order_id")).to_have_value("A")
    expect(page.get_by_label("card_number")).to_have_value("1")
    expect(page.get_by_role("alert")).to_have_count(0)
    switch.check()
    assert json.loads(text.input_value()) == payload
    # What is no JSON is not lost.
    text.fill('{"order_id": ')
    switch.click()
    expect(switch).to_be_checked()
    expect(page.locator("#polos-json > [data-wrong]")).to_contain_text("This is not JSON")
    text.fill('{"order_id": "A", "unknown": 1}')
    switch.uncheck()
    expect(page.get_by_role("alert")).to_contain_text("has no place in the form")


def test_json_is_checked_before_it_is_sent(order: Page, watch: Watch) -> None:
    order.get_by_role("switch", name="Payload as JSON").check()
    order.locator("#polos-json [data-value]").fill("{'order_id': 1}")
    order.get_by_role("button", name="Start…").click()
    expect(order.locator("#polos-json > [data-wrong]")).to_contain_text("This is not JSON")
    expect(order.locator("#polos-json [data-value]")).to_be_focused()
    expect(order.locator("dialog")).to_have_count(0)
    watch.expect("Failed to load|status 422")
    order.locator("#polos-json [data-value]").fill('{"order_id": "A"}')
    agree(order, "order_processor")
    expect(order.locator("#polos-json > [data-wrong]")).to_have_text("address: Field required")


def test_a_workflow_without_a_payload(site: Site, flower: Flower, page: Page) -> None:
    page.goto(f"{flower.url}/workflows/start/snoozer")
    expect(page.get_by_text("It takes no payload.")).to_be_visible()
    agree(page, "snoozer")
    site.until(started_id(page), Status.WAITING)


def test_without_the_code_the_payload_is_json(site: Site, bare: Flower, page: Page) -> None:
    page.goto(f"{bare.url}/workflows/start")
    row = page.get_by_role("listitem").filter(has=page.get_by_role("link", name="greeter"))
    expect(row).to_contain_text("no code here")
    page.get_by_role("link", name="greeter").click()
    expect(page.get_by_role("note")).to_contain_text("Flower has no code of this workflow")
    page.get_by_role("textbox", name="payload").fill('{"name": "Bob"}')
    assert violations(page) == []
    agree(page, "greeter")
    ended = site.until(started_id(page), Status.COMPLETED)
    assert codec.decode(ended.result or b"") == "Hello, Bob!"


def test_it_is_started_once(site: Site, flower: Flower, page: Page) -> None:
    page.goto(f"{flower.url}/workflows/start/greeter")
    page.get_by_text("More options").click()
    page.get_by_label("Idempotency key").fill("only-one")
    page.get_by_role("button", name="Start…").dblclick()
    page.get_by_role("button", name="Start it").dblclick()
    first = started_id(page)
    page.goto(f"{flower.url}/workflows/start/greeter")
    page.get_by_text("More options").click()
    page.get_by_label("Idempotency key").fill("only-one")
    agree(page, "greeter")
    assert started_id(page) == first
    expect(page.locator("#toast-container")).to_contain_text("Nothing new was started")


def test_a_lost_answer_starts_nothing_twice(
    site: Site, flower: Flower, page: Page, watch: Watch
) -> None:
    watch.expect("Failed to load|status 409|failed: POST")
    page.goto(f"{flower.url}/workflows/start/greeter")
    before = len(site.ids())

    def lose(route: Any) -> None:
        route.fetch()
        route.abort()

    page.route("**/api/polos/**", lose, times=1)
    agree(page, "greeter")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text(
        "It may have been done all the same"
    )
    page.get_by_role("button", name="Start it").click()
    started_id(page)
    assert len(site.ids()) == before + 1


def test_a_start_by_the_keyboard_alone(site: Site, flower: Flower, page: Page) -> None:
    page.goto(f"{flower.url}/workflows/start/greeter")

    def tab_to(target: Locator) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if target.evaluate("(it) => it === document.activeElement"):
                return
        raise AssertionError("the Tab key doesn't lead there")

    tab_to(page.get_by_label("name"))
    page.keyboard.press("Control+A")
    page.keyboard.type("Keys")
    tab_to(page.get_by_role("button", name="Start…"))
    page.keyboard.press("Enter")
    tab_to(page.get_by_role("button", name="Start it"))
    page.keyboard.press("Enter")
    ended = site.until(started_id(page), Status.COMPLETED)
    assert codec.decode(ended.result or b"") == "Hello, Keys!"


def test_hostile_values_are_sent_as_they_are(site: Site, flower: Flower, page: Page) -> None:
    page.goto(f"{flower.url}/workflows/start/greeter")
    page.get_by_label("name").fill(HOSTILE)
    page.get_by_role("button", name="Start…").click()
    expect(page.get_by_role("dialog")).to_contain_text("<script>")
    page.get_by_role("button", name="Start it").click()
    id_ = started_id(page)
    assert payload_of(site, id_) == {"name": HOSTILE}
    assert not is_pwned(page)


def test_it_is_readable_on_a_phone(order: Page) -> None:
    order.set_viewport_size({"width": 390, "height": 844})
    order.get_by_role("button", name="Add to items").click()
    order.get_by_role("button", name="Add to notes").click()
    order.get_by_label("Kind of payment").select_option("Card")
    order.get_by_text("More options").click()
    assert overflow(order) <= 0
    assert violations(order) == []


def test_a_workflow_that_nobody_knows(flower: Flower, page: Page, watch: Watch) -> None:
    watch.expect("status 404|Failed to load")
    page.goto(f"{flower.url}/workflows/start/no_such_thing")
    expect(page.locator("body")).to_contain_text("no_such_thing")
