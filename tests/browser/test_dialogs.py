"""What asks before it acts, on a page whose answers the test gives."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from polos.client.wire import project_of
from tests.browser.stage import ROOT, Stage
from tests.browser.watch import HOSTILE, Watch, is_pwned, violations
from tests.support.processes import until

ID = "a1b2c3d4-0000-4000-8000-000000000000"
BUTTONS = "".join(
    f'<button data-polos-action="{name}" data-execution-id="{ID}" data-workflow="order_processor"'
    f' data-step="pay">{name}</button>'
    for name in ("cancel", "retry", "fork")
)
RUNNING: dict[str, Any] = {
    "id": ID,
    "status": "running",
    "payload": {"item": "tea"},
    "steps": [{"key": "reserve", "status": "completed"}, {"key": "pay", "status": "failed"}],
    "children": [{"status": "running"}, {"status": "waiting"}, {"status": "completed"}],
}
FAILED = RUNNING | {"status": "failed", "error": "the card was declined", "children": []}


class Api:
    """Answers about one execution, and to what is done with it."""

    def __init__(self, found: dict[str, Any], done: Any = (200, {})) -> None:
        self.found = found
        self.done = done

    def __call__(self, method: str, path: str) -> Any:
        if method == "GET":
            return 200, json.dumps(self.found), {}
        if self.done is None:
            return None
        status, content = self.done
        return status, json.dumps(content), {}


@pytest.fixture
def stage(page: Page) -> Stage:
    return Stage(page, BUTTONS)


def dialog_of(page: Page) -> Locator:
    return page.locator("dialog[open]")


def posts(stage: Stage) -> list[tuple[str, Any]]:
    return [(path, body) for method, path, body in stage.requests if method == "POST"]


def test_cancel_says_what_it_does_and_to_what(page: Page, stage: Stage) -> None:
    stage.api = Api(RUNNING, (200, {"cancelled": True}))
    stage.open("?project=shop")
    page.get_by_role("button", name="cancel").click()
    asked = page.get_by_role("dialog", name="Cancel order_processor a1b2c3d4…?")
    expect(asked).to_contain_text("It is running")
    expect(asked).to_contain_text("Its 2 children are cancelled too.")
    assert violations(page) == []
    asked.get_by_role("button", name="Cancel it").click()
    expect(dialog_of(page)).to_have_count(0)
    expect(page.locator("#toast-container")).to_contain_text(
        "order_processor a1b2c3d4… is being cancelled"
    )
    assert posts(stage) == [(f"executions/{ID}/cancel", {})]
    sent = stage.headers[-1]
    assert sent["polos-request"] == "1"
    assert sent["polos-project"] == "shop"
    assert sent["content-type"] == "application/json"


def test_a_project_of_any_name_can_be_acted_on(page: Page, stage: Stage) -> None:
    stage.api = Api(RUNNING, (200, {"cancelled": True}))
    stage.open("?project=läden%2520Ａ")
    page.get_by_role("button", name="cancel").click()
    expect(dialog_of(page)).to_contain_text("It is running")
    sent = stage.headers[-1]["polos-project"]
    assert project_of(sent) == "läden%20Ａ"


def test_retry_says_what_is_not_done_again(page: Page, stage: Stage) -> None:
    stage.api = Api(FAILED)
    stage.open()
    page.get_by_role("button", name="retry").click()
    expect(dialog_of(page)).to_contain_text(
        "It goes on where it failed (the card was declined). 1 step that has succeeded is not done"
    )
    page.get_by_role("button", name="Retry it").click()
    expect(page.locator("#toast-container")).to_contain_text("is tried again")
    assert posts(stage) == [(f"executions/{ID}/retry", {})]


def test_fork_takes_a_step_and_another_payload(page: Page, stage: Stage) -> None:
    stage.api = Api(FAILED, (201, {"id": "ffff0000-0000"}))
    stage.open()
    page.get_by_role("button", name="fork").click()
    expect(page.get_by_label("First step that runs again")).to_have_value("pay")
    payload = page.get_by_label("Payload, JSON")
    expect(payload).to_be_hidden()
    page.get_by_label("With another payload").check()
    expect(payload).to_have_value('{\n  "item": "tea"\n}')
    assert violations(page) == []
    payload.fill('{"item": ')
    page.get_by_role("button", name="Fork it").click()
    expect(dialog_of(page).get_by_role("alert")).to_contain_text("The payload is not JSON")
    assert posts(stage) == []
    payload.fill('{"item": "coffee"}')
    page.get_by_label("First step that runs again").fill("")
    page.get_by_role("button", name="Fork it").click()
    link = page.get_by_role("link", name="order_processor ffff0000")
    expect(link).to_have_attribute("href", f"{ROOT}/workflows/execution/ffff0000-0000")
    fork = {"from_step": None, "payload": {"item": "coffee"}}
    assert posts(stage) == [(f"executions/{ID}/fork", fork)]


def test_the_payload_is_the_old_one_where_no_other_is_wanted(page: Page, stage: Stage) -> None:
    stage.api = Api(FAILED, (201, {"id": "f"}))
    stage.open()
    page.get_by_role("button", name="fork").click()
    page.get_by_role("button", name="Fork it").click()
    expect(page.get_by_role("link", name="order_processor f")).to_be_visible()
    assert posts(stage) == [(f"executions/{ID}/fork", {"from_step": "pay"})]


@pytest.mark.parametrize(
    ("button", "found", "reason"),
    [
        ("cancel", RUNNING | {"status": "completed"}, "It has ended: it is completed."),
        ("cancel", RUNNING | {"cancel_requested_at": "x"}, "It is being cancelled already."),
        ("retry", RUNNING, "Only what has failed can be tried again: it is running."),
    ],
)
def test_what_its_state_does_not_allow_is_not_offered(
    page: Page, stage: Stage, button: str, found: Any, reason: str
) -> None:
    stage.api = Api(found)
    stage.open()
    page.get_by_role("button", name=button).click()
    expect(dialog_of(page)).to_contain_text(reason)
    expect(dialog_of(page).locator("[type=submit]")).to_be_disabled()
    page.keyboard.press("Enter")
    assert posts(stage) == []


def test_a_button_that_may_not_be_used_says_why(page: Page, stage: Stage) -> None:
    reason = "This Flower is read-only."
    stage.body = BUTTONS.replace(
        "<button", f'<button aria-disabled="true" data-polos-reason="{reason}"'
    )
    stage.open()
    # Playwright would wait for one that is enabled.
    page.get_by_role("button", name="cancel").click(force=True)
    expect(page.get_by_role("alert")).to_contain_text(reason)
    expect(dialog_of(page)).to_have_count(0)
    assert stage.requests == []


@pytest.mark.parametrize(
    ("done", "said"),
    [
        ((409, {"title": "Conflict", "detail": "it has not failed"}), "it has not failed"),
        ((403, {"title": "Forbidden"}), "Forbidden"),
        ((502, None), "The server answered 502."),
        (None, "It may have been done all the same"),
    ],
)
def test_what_went_wrong_is_told_and_can_be_tried_again(
    page: Page, stage: Stage, watch: Watch, done: Any, said: str
) -> None:
    watch.expect("Failed to load|status|failed: POST")
    api = stage.api = Api(FAILED, done)
    stage.open()
    page.get_by_role("button", name="retry").click()
    page.get_by_role("button", name="Retry it").click()
    expect(dialog_of(page).get_by_role("alert")).to_contain_text(said)
    api.done = (200, {})
    page.get_by_role("button", name="Retry it").click()
    expect(dialog_of(page)).to_have_count(0)
    assert len(posts(stage)) == 2


def test_an_execution_that_is_not_there(page: Page, stage: Stage, watch: Watch) -> None:
    watch.expect("Failed to load|status 404")
    stage.api = lambda method, path: (404, json.dumps({"detail": "no execution 'x'"}), {})
    stage.open()
    page.get_by_role("button", name="cancel").click()
    expect(dialog_of(page).get_by_role("alert")).to_contain_text("no execution 'x'")
    expect(page.get_by_role("button", name="Cancel it")).to_be_disabled()


def test_two_clicks_do_it_once(page: Page, stage: Stage) -> None:
    stage.api = Api(FAILED)
    stage.open()
    page.get_by_role("button", name="retry").dblclick()
    expect(dialog_of(page)).to_have_count(1)
    go = page.get_by_role("button", name="Retry it")
    expect(go).to_be_enabled()
    go.dblclick()
    expect(dialog_of(page)).to_have_count(0)
    assert len(posts(stage)) == 1
    # Nor do two that come before the first is answered.
    page.get_by_role("button", name="retry").click()
    expect(go).to_be_enabled()
    page.evaluate(
        "() => { for (let n = 3; n; n--) document.querySelector('dialog form').requestSubmit(); }"
    )
    expect(dialog_of(page)).to_have_count(0)
    assert len(posts(stage)) == 2


def test_the_keyboard_alone_will_do(page: Page, stage: Stage) -> None:
    stage.api = Api(RUNNING, (200, {"cancelled": True}))
    stage.open()
    button = page.get_by_role("button", name="cancel")
    button.focus()
    page.keyboard.press("Enter")
    expect(dialog_of(page)).to_contain_text("Its 2 children")
    expect(page.get_by_role("button", name="Go back")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog_of(page)).to_have_count(0)
    expect(button).to_be_focused()
    assert posts(stage) == []
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Cancel it")).to_be_enabled()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Cancel it")).to_be_focused()
    # The page behind is out of reach.
    for _ in range(4):
        page.keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        )
    page.get_by_role("button", name="Cancel it").focus()
    page.keyboard.press("Enter")
    expect(dialog_of(page)).to_have_count(0)
    expect(button).to_be_focused()
    assert len(posts(stage)) == 1


def test_the_focus_goes_to_what_has_taken_the_buttons_place(page: Page, stage: Stage) -> None:
    part = 'data-polos-live="x" data-polos-every="3600"'
    stage.body = f"<div {part}><p>{BUTTONS}</p></div>"
    stage.fragment = lambda headers: (200, f"<section>{BUTTONS}</section>", {})
    stage.api = Api(RUNNING, (200, {"cancelled": True}))
    stage.open()
    page.get_by_role("button", name="cancel").click()
    expect(page.get_by_role("button", name="Cancel it")).to_be_enabled()
    page.evaluate("polos.refresh()")
    expect(page.locator("section")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="cancel")).to_be_focused()


def test_several_at_once(page: Page, stage: Stage, watch: Watch) -> None:
    watch.expect("Failed to load|status 409")
    stage.body = (
        "".join(
            f'<input type="checkbox" aria-label="{n}" data-polos-select value="id-{n}"'
            ' data-workflow="payer">'
            for n in range(6)
        )
        + '<button data-polos-action="retry" data-polos-selected>Retry selected</button>'
    )
    stage.api = lambda method, path: (
        (409, '{"detail": "it has not failed"}', {}) if "id-3" in path else (200, "{}", {})
    )
    stage.open()
    page.get_by_role("button", name="Retry selected").click()
    expect(page.locator("#toast-container")).to_contain_text("Nothing is selected")
    for box in page.get_by_role("checkbox").all()[:4]:
        box.check()
    page.get_by_role("button", name="Retry selected").click()
    page.get_by_role("dialog", name="Retry 4 executions?").get_by_role(
        "button", name="Retry 4"
    ).click()
    expect(page.locator("#toast-container")).to_contain_text("3 executions: is tried again")
    expect(page.get_by_role("alert")).to_contain_text("1 execution: it has not failed")
    assert sorted(path for path, _ in posts(stage)) == [
        f"executions/id-{n}/retry" for n in range(4)
    ]


def test_values_are_text(page: Page, stage: Stage) -> None:
    found = FAILED | {"error": HOSTILE, "payload": HOSTILE, "steps": [{"key": HOSTILE}]}
    stage.api = Api(found, (201, {"id": HOSTILE}))
    stage.open()
    page.get_by_role("button", name="retry").click()
    expect(dialog_of(page)).to_contain_text(HOSTILE)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="fork").click()
    page.get_by_label("With another payload").check()
    expect(page.get_by_label("Payload, JSON")).to_have_value(json.dumps(HOSTILE))
    page.get_by_role("button", name="Fork it").click()
    expect(page.locator("#toast-container a")).to_have_count(1)
    assert not is_pwned(page)


@pytest.mark.parametrize(
    ("done", "said"),
    [((200, {}), "is tried again"), ((409, {"detail": "it has not failed"}), "it has not failed")],
)
def test_it_waits_for_the_answer(
    page: Page, stage: Stage, watch: Watch, done: Any, said: str
) -> None:
    watch.expect("Failed to load|status 409")
    stage.api = Api(FAILED, done)
    stage.open()
    page.evaluate("""() => {
      const real = fetch;
      window.fetch = async (...given) => {
        if (given[1]?.method === 'POST') await new Promise((go) => { window.answer = go; });
        return real(...given);
      };
    }""")
    page.get_by_role("button", name="retry").click()
    page.get_by_role("button", name="Retry it").click()
    expect(dialog_of(page).locator("form")).to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("button", name="Retry it")).to_be_disabled()
    # It can be left; what came of it is told all the same.
    page.keyboard.press("Escape")
    expect(dialog_of(page)).to_have_count(0)
    page.evaluate("answer()")
    expect(page.locator("#toast-container")).to_contain_text(said)
    until(lambda: len(posts(stage)) == 1, 20)
