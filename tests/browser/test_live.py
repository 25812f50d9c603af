"""Parts of a page that keep themselves up to date, on a page whose answers the test gives."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.stage import Stage
from tests.browser.watch import Watch, is_pwned
from tests.support.processes import until

QUICK = 'data-polos-live="rows" data-polos-every="0.05"'


@pytest.fixture
def stage(page: Page) -> Stage:
    return Stage(page, f"<div {QUICK}><p>first</p></div>")


def _poll(page: Page, condition: Any, message: str = "") -> None:
    # Playwright answers the page's requests only while it is waited in it.
    until(lambda: (page.wait_for_timeout(20), condition())[1], 60, 0, message)


def test_it_is_asked_again_and_only_sent_when_it_has_changed(page: Page, stage: Stage) -> None:
    etags = []

    def answer(headers: dict[str, str]) -> Any:
        etags.append(headers.get("if-none-match"))
        if etags[-1] == '"2"':
            return 304, "", {}
        number = len(etags)
        return 200, f"<p>number {number}</p>", {"ETag": f'"{number}"'}

    stage.fragment = answer
    stage.open("?status=failed")
    expect(page.get_by_text("number 2")).to_be_visible()
    _poll(page, lambda: len(etags) >= 5)
    assert etags[:4] == [None, '"1"', '"2"', '"2"']
    expect(page.get_by_text("number 2")).to_be_visible()


def test_what_the_reader_is_doing_stays_as_it_is(page: Page, stage: Stage) -> None:
    rows = "".join(f'<p data-key="r{n}">row {n}</p>' for n in range(60))
    count = itertools.count(1)
    stage.body = (
        f'<div {QUICK}><div id="scroller">{rows}</div>'
        '<details data-key="d"><summary>More</summary><p>folded</p></details>'
        '<p data-key="s">selected text</p><input id="note" aria-label="Note"><p>number 0</p></div>'
    )
    stage.fragment = lambda headers: (
        200,
        f'<div id="scroller"><p data-key="new">new</p>{rows}'
        '</div><details data-key="d"><summary>More</summary><p>folded</p></details>'
        '<p data-key="s">selected text</p><input id="note" aria-label="Note">'
        f"<p>number {next(count)}</p>",
        {},
    )
    stage.open()
    # The pages' policy allows no style in their text.
    page.evaluate(
        """() => {
          const sheet = new CSSStyleSheet();
          sheet.replaceSync("#scroller { height: 100px; overflow: auto; }");
          document.adoptedStyleSheets = [sheet];
        }"""
    )
    page.get_by_text("More").click()
    page.evaluate("document.getElementById('scroller').scrollTop = 300")
    page.get_by_label("Note").fill("half a wor")
    page.get_by_label("Note").focus()
    asked = stage.asked
    page.evaluate("""() => {
      const range = document.createRange();
      range.selectNodeContents(document.querySelector('[data-key="s"]'));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      window.kept = document.getElementById('note');
      kept.focus({preventScroll: true});
    }""")
    _poll(page, lambda: stage.asked > asked + 3)
    expect(page.get_by_text("folded")).to_be_visible()
    expect(page.get_by_label("Note")).to_have_value("half a wor")
    expect(page.get_by_label("Note")).to_be_focused()
    assert page.evaluate("getSelection().toString()") == "selected text"
    assert page.evaluate("kept === document.getElementById('note')")
    # A row has come above what is looked at; the browser keeps that in place.
    assert page.evaluate("document.getElementById('scroller').scrollTop") >= 300


def test_a_selected_text_changes_only_when_it_is_let_go(page: Page, stage: Stage) -> None:
    text = "first"

    def answer(headers: dict[str, str]) -> Any:
        if headers.get("if-none-match") == f'"{text}"':
            return 304, "", {}
        return 200, f"<p>{text}</p><p>also {text}</p>", {"ETag": f'"{text}"'}

    stage.fragment = answer
    stage.open()
    expect(page.get_by_text("also first")).to_be_visible()
    page.evaluate("getSelection().selectAllChildren(document.querySelector('[data-polos-live] p'))")
    text = "second"
    expect(page.get_by_text("also second")).to_be_visible()
    assert page.evaluate("getSelection().toString()") == "first"
    page.evaluate("getSelection().removeAllRanges()")
    expect(page.get_by_text("second", exact=True)).to_be_visible()


def test_rows_come_go_and_move_as_themselves(page: Page, stage: Stage) -> None:
    def rows(keys: str) -> str:
        return "".join(f'<p data-key="{key}">{key}</p>' for key in keys)

    stage.body = f"<div {QUICK}>{rows('abcd')}</div>"
    shown = "abcd"
    stage.fragment = lambda headers: (200, rows(shown), {})
    stage.open()
    note = (
        "window.rows = Object.fromEntries([...document.querySelectorAll('[data-key]')]"
        ".map((it) => [it.dataset.key, it]))"
    )
    page.evaluate(note)
    before = shown
    for shown in ("xabcd", "acd", "dca", "", "ab"):
        expect(page.locator("[data-key]")).to_have_text(list(shown))
        same = (
            "(keys) => keys.every((it) => rows[it] === document.querySelector(`[data-key=${it}]`))"
        )
        assert page.evaluate(same, [key for key in shown if key in before]), shown
        page.evaluate(note)
        before = shown


def test_it_says_that_nothing_answers_and_goes_on_slower(
    page: Page, stage: Stage, watch: Watch
) -> None:
    watch.expect("Failed to load|status 503|failed: GET")
    down = False
    stage.fragment = lambda headers: (
        (None if stage.asked % 2 else (503, "", {})) if down else (200, "<p>well</p>", {})
    )
    stage.open()
    expect(page.get_by_text("well")).to_be_visible()
    expect(page.locator(".polos-live-state")).to_have_text("Live")
    down, before = True, stage.asked
    expect(page.locator(".polos-live-state")).to_contain_text("Not reachable, trying again in")
    page.wait_for_timeout(1500)
    # 0.1, 0.2, 0.4, 0.8 s …, not every 0.05 s.
    assert stage.asked - before <= 7
    expect(page.get_by_text("well")).to_be_visible()
    down = False
    expect(page.locator(".polos-live-state")).to_have_text("Live")


def test_it_ends_with_what_it_shows(page: Page, stage: Stage) -> None:
    stage.fragment = lambda headers: (
        200,
        f"<div {QUICK} data-polos-ended><p>completed</p></div>",
        {},
    )
    stage.open()
    expect(page.locator(".polos-live-state")).to_have_text("Ended")
    expect(page.locator("[data-polos-live] > p")).to_have_text("completed")
    asked = stage.asked
    page.wait_for_timeout(300)
    assert stage.asked == asked == 1
    # As after a retry: it may have begun again.
    stage.fragment = lambda headers: (200, f"<div {QUICK}><p>running</p></div>", {})
    page.evaluate("polos.refresh()")
    expect(page.locator(".polos-live-state")).to_have_text("Live")
    _poll(page, lambda: stage.asked > asked + 2)


def test_it_stops_where_one_is_signed_out(page: Page, stage: Stage, watch: Watch) -> None:
    watch.expect("Failed to load|status 403")
    stage.fragment = lambda headers: (403, "", {})
    stage.open()
    expect(page.locator(".polos-live-state")).to_contain_text("load the page again")
    asked = stage.asked
    page.wait_for_timeout(300)
    assert stage.asked == asked == 1


def test_it_can_be_paused(page: Page, stage: Stage) -> None:
    stage.fragment = lambda headers: (200, f"<p>number {stage.asked}</p>", {})
    stage.open()
    button = page.get_by_role("button", name="Pause")
    button.focus()
    page.keyboard.press("Space")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".polos-live-state")).to_have_text("Paused")
    page.wait_for_timeout(500)
    asked = stage.asked
    page.wait_for_timeout(300)
    assert stage.asked == asked
    page.keyboard.press("Space")
    _poll(page, lambda: stage.asked > asked + 2)
    expect(page.locator(".polos-live-state")).to_have_text("Live")


def test_nothing_is_asked_while_nobody_looks(page: Page, stage: Stage) -> None:
    stage.open()
    _poll(page, lambda: stage.asked > 1)
    hide = """(on) => {
      Object.defineProperty(document, 'hidden', {value: on, configurable: true});
      document.dispatchEvent(new Event('visibilitychange'));
    }"""
    page.evaluate(hide, True)
    page.wait_for_timeout(500)
    asked = stage.asked
    page.wait_for_timeout(300)
    assert stage.asked == asked
    page.evaluate(hide, False)
    _poll(page, lambda: stage.asked > asked + 2)


def test_changes_are_read_out(page: Page, stage: Stage) -> None:
    def rows(*texts: str) -> str:
        return "".join(
            f'<p data-key="k{n}" data-polos-announce="order {n}">{text}</p>'
            for n, text in enumerate(texts)
        )

    stage.body = f"<div {QUICK}>{rows(*['running'] * 5)}</div>"
    texts = ["running"] * 4 + ["failed"]
    stage.fragment = lambda headers: (200, rows(*texts), {})
    stage.open()
    spoken = page.locator("body > [role=status].visually-hidden")
    expect(spoken).to_have_text("order 4: failed")
    texts[:4] = ["completed"] * 4
    expect(spoken).to_contain_text("order 2: completed. and 1 more have changed")


def test_what_it_is_sent_does_nothing(page: Page, stage: Stage, watch: Watch) -> None:
    watch.expect("policy script-src|inline|Content Security Policy")
    stage.fragment = lambda headers: (
        200,
        "<script>window.__pwned=1</script><img alt=x src='data:,' onerror='window.__pwned=1'>"
        "<p>shown</p>",
        {},
    )
    stage.open()
    expect(page.get_by_text("shown")).to_be_visible()
    assert not is_pwned(page)


def test_thousands_of_updates_leave_nothing_behind(page: Page, stage: Stage) -> None:
    stage.body = '<div data-polos-live="rows" data-polos-every="0.001"></div>'
    stage.open()
    page.evaluate("""() => {
      window.count = 0;
      window.fetch = async () => {
        count += 1;
        const rows = Array.from({length: 20}, (_, n) =>
          `<p data-key="${count + n}" data-polos-announce="row ${n}">${count}</p>`);
        return new Response(rows.join(""), {headers: {ETag: `"${count}"`}});
      };
    }""")
    session = page.context.new_cdp_session(page)

    def counted(refreshes: int) -> dict[str, int]:
        goal = page.evaluate("count") + refreshes
        _poll(page, lambda: page.evaluate("count") >= goal)
        session.send("HeapProfiler.collectGarbage")
        counters = session.send("Memory.getDOMCounters")
        return counters | {"heap": session.send("Runtime.getHeapUsage")["usedSize"]}

    before, after = counted(300), counted(2000)
    # Each of the 2000 had some 40 nodes; one answer may be under way.
    assert after["nodes"] <= before["nodes"] + 500
    assert after["jsEventListeners"] <= before["jsEventListeners"] + 100
    assert after["documents"] <= before["documents"] + 10
    assert after["heap"] <= before["heap"] + 1_000_000
