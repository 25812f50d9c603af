"""The page of an execution: its facts, timeline, steps, values and tree, and what is refused."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, urljoin
from uuid import uuid4

import httpx
import pytest
from tornado.options import options

from polos.flower.assets import FOLDER
from polos.model.records import Kind
from polos.model.states import Status
from polos.model.steps import StepPlace
from polos.model.workers import WorkerReport
from polos.store.sql_store import SqlStore
from tests.flower.executions import HOSTILE, MS, SECOND, Written
from tests.flower.pages import Site, opened

PARTS = ("head", "timeline", "steps", "family")
# What a page of the tab loads besides itself, from here.
LOADED = re.compile(r'(?:src|href)="[^"]*/polos/static/([\w.-]+)"')


class Read(HTMLParser):
    """What a browser would make of a page, as far as these tests ask."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    @property
    def links(self) -> list[str]:
        return [given["href"] or "" for tag, given in self.tags if tag == "a" and given.get("href")]

    def bars(self) -> list[tuple[str, float, float]]:
        """Of each bar its kind, where it begins and how wide it is, in percent."""
        return [
            (given["class"] or "", float(given["x"][:-1]), float(given["width"][:-1]))
            for tag, given in self.tags
            if tag == "rect" and given["x"] and given["width"] and given["width"].endswith("%")
        ]


def body(answer: httpx.Response) -> str:
    """What is between Flower's navigation and its scripts."""
    assert answer.status_code == 200, answer.text
    return answer.text.partition("<main")[2].partition("</main>")[0]


def read(answer: httpx.Response) -> Read:
    return Read(body(answer))


def test_a_page_says_what_there_is_to_know(full: Site) -> None:
    page = read(full.page("11111111-retries"))
    for said in ("order_processor", "completed", "11111111-retries", "session-7", "ann", "orders"):
        assert said in page.text
    for said in ("9.2 s", "1 time", "eu", "urgent", "order", "paid"):
        assert said in page.text
    assert "/workflows?by=session&text=session-7" in page.links
    assert "/workflows?by=tag&text=urgent" in page.links


def test_each_step_has_a_row_with_its_facts(full: Site) -> None:
    rows = body(full.page("22222222-failed", part="")).partition('class="steps"')[2]
    cells = [
        [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd] role.*?</t[hd]>", row)]
        for row in re.findall(r'<tr role="row"><th role="rowheader".*?</tr>', rows)
    ]
    assert [row[:4] for row in cells] == [
        ["validate", "step", "completed", "1"],
        ["reserve", "step", "completed", "1"],
        ["charge_card", "step", "failed", "3"],
        ["release", "step", "completed", "1"],
    ]
    assert [row[5] for row in cells] == ["120 ms", "550 ms", "4.9 s", "290 ms"]
    assert all(re.fullmatch(r"(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d\.\d{3}", row[4]) for row in cells)
    assert "CardDeclined" in rows and "insufficient funds" in rows
    assert "shop/gateway.py" in rows


def test_attempts_and_pauses_are_drawn_to_scale(site: Site) -> None:
    it = Written(site.store, "to-scale", 60 * SECOND)
    tried = [it.tried(1 * SECOND, 3 * SECOND), it.tried(4 * SECOND, 8 * SECOND)]
    it.step("step", 0, 10 * SECOND, "x", tried=tried)
    it.columns["started_at"] = it.begin
    it.put(Status.COMPLETED, 10 * SECOND)
    page = body(site.page("to-scale")).partition("<ol>")[2].partition("</ol>")[0]
    assert [bar for bar in Read(page.rpartition("<li")[2]).bars()] == [
        ("p", 0, 100),
        ("f", 0, 10),
        ("f", 30, 10),
        ("w", 80, 20),
    ]


def test_a_wait_is_drawn_until_now_and_on_until_it_is_due(site: Site) -> None:
    it = Written(site.store, "due", 60 * SECOND)
    it.wait("pause", 30 * SECOND, 80 * SECOND)
    it.put(Status.WAITING)
    bars = Read(body(site.page("due")).rpartition("<ol>")[2].partition("</ol>")[0]).bars()
    (paused, begin, length), (due, now, left) = bars[-2:]
    assert (paused, due) == ("p", "d")
    assert begin == pytest.approx(37.5, abs=1)
    assert now == pytest.approx(begin + length, abs=0.1)
    assert now + left == pytest.approx(100, abs=0.1)


def test_a_long_wait_leaves_room_for_what_was(full: Site) -> None:
    page = read(full.page("33333333-waiting"))
    assert max(begin + width for css, begin, width in page.bars() if css == "p") > 60
    shortened = read(full.page("33333333-waiting", view="order"))
    steps = [width for css, _, width in shortened.bars() if css == "w"]
    assert max(steps) > 1
    assert "⋯ 7 d ⋯" in shortened.text
    assert "Waits for step end_of_trial until" in page.text


def test_what_runs_now_is_drawn_and_named(full: Site) -> None:
    page = body(full.page("55555555-running"))
    assert "At work on worker@alpha; step upload ended" in page
    assert "/worker/worker%40alpha" in page
    assert re.search(r'<li class="running"><b>at work</b><svg[^>]*><rect class="w"', page)
    Written(full.store, "noted", 9 * SECOND, lease_steps='["first", "second"]').put(Status.RUNNING)
    noted = body(full.page("noted"))
    assert "At work on worker@alpha in first, second." in noted
    for name in ("first", "second"):
        assert re.search(rf'scope="row">{name}</th>.*running</span>.*until now', noted)


def test_children_are_linked_both_ways(full: Site) -> None:
    page = read(full.page("44444444-parent"))
    there = {"40000000-root", "40000001-sibling", "40000002-sibling"}
    there |= {f"4444444{number}-kid" for number in range(5)}
    linked = {link.partition("/workflows/execution/")[2] for link in page.links}
    assert there <= linked
    assert "5 children" in page.text
    assert "3 children of its parent" in page.text
    kid = read(full.page("44444441-kid"))
    assert "/workflows/execution/44444444-parent" in kid.links
    assert "nightly" in kid.text


def test_the_input_of_a_child_is_its_payload(full: Site) -> None:
    step = Read(full.page("44444444-parent", step="order_1", part="step").text)
    assert "Input" in step.text
    assert '"order": 1' in step.text
    large = Written(full.store, "large-kid", 5 * SECOND)
    large.put(Status.QUEUED, payload={"text": "x" * 5000})
    it = Written(full.store, "of-large", 5 * SECOND)
    it.wait("kid", 0, None, kind=Kind.CHILD, target_id="large-kid").put(Status.WAITING)
    assert "/workflows/execution/large-kid/value?what=payload" in read(full.page("of-large")).links


def test_what_a_fork_took_over_is_not_of_its_time(site: Site) -> None:
    it = Written(site.store, "fork", 10 * SECOND, forked_from="the-source")
    it.step("copied", -9 * SECOND, -8 * SECOND, 1).step("own", SECOND, 2 * SECOND, 2)
    it.put(Status.COMPLETED, 2 * SECOND)
    page = read(site.page("fork"))
    assert "taken over" in page.text
    assert "/workflows/execution/the-source" in page.links
    bars = [len(Read(row).bars()) for row in body(site.page("fork")).split("<li class")[1:]]
    # The whole, what was copied, and its own step.
    assert bars[:3] == [3, 0, 1]


def test_an_execution_that_was_tried_again_says_so(site: Site) -> None:
    it = Written(site.store, "again", 10 * SECOND, retried=2, claims=3, recoveries=1)
    it.put(Status.RUNNING)
    text = read(site.page("again")).text
    assert "Tried again 2 times" in text
    assert "Taken by a worker 3 times" in text


def test_what_is_cancelled_or_late_says_so(site: Site) -> None:
    now = Written(site.store, "unused").now
    for id_, columns, status, said in (
        ("told", {"cancel_requested_at": now}, Status.RUNNING, "It is to be cancelled since"),
        (
            "late",
            {"cancel_requested_at": now, "deadline_at": now - 1},
            Status.RUNNING,
            "Its time was over at",
        ),
        ("over", {"cancel_requested_at": now}, Status.CANCELLED, "Cancelled by a request of"),
        ("unbegun", {"started_at": None}, Status.CANCELLED, "It was not begun in time."),
    ):
        Written(site.store, id_, 5 * SECOND, **columns).put(status)
        assert said in read(site.page(id_, part="")).text


def test_a_queued_one_and_one_without_steps(site: Site) -> None:
    Written(site.store, "queued", 5 * SECOND).put(Status.QUEUED)
    text = read(site.page("queued")).text
    assert "No worker has taken it yet" in text
    assert "no worker is alive: start one." in text
    assert "No step is recorded yet." in text
    Written(site.store, "empty", 5 * SECOND).put(Status.COMPLETED)
    assert "It ended without a step." in read(site.page("empty")).text


def test_what_is_due_says_why_no_worker_takes_it(site: Site) -> None:
    queues = ("celery",)
    site.store.report(WorkerReport("able", "owner", 1, 1, queues, ("order_processor",)))
    try:
        for id_, ago, more, said in (
            ("renamed", 3, {"workflow_id": "gone"}, "no living worker has the workflow 'gone'"),
            ("elsewhere", 3, {"queue": "slow"}, "consumes the queue 'slow': start one with -Q"),
            ("taken-soon", 3, {}, ""),
            ("not-due", -3, {"workflow_id": "gone"}, ""),
        ):
            it = Written(site.store, id_, 5 * SECOND, **more)
            it.columns["wake_at"] = it.now - ago * SECOND
            it.wait("pause", MS, 2 * SECOND).put(Status.WAITING)
            text = read(site.page(id_)).text
            assert "Waits for step pause until " in text
            assert said in text
            assert ("start one" in text) is bool(said)
    finally:
        site.store.sign_off("able", "owner")


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("started", [True, False])
def test_a_step_of_every_kind_is_shown(site: Site, kind: Kind, started: bool) -> None:
    id_ = f"kind-{kind.value}-{started}"
    it = Written(site.store, id_, 60 * SECOND)
    it.step("the_step", 0 if started else None, SECOND, "came-to-this", kind=kind)
    it.wait("open", 0, 70 * SECOND, kind=kind, started_at=it.begin if started else None)
    it.put(Status.WAITING)
    text = read(site.page(id_)).text
    assert "the_step" in text and "open" in text
    assert ("came-to-this" in text) is (kind is not Kind.TIMER)


# -- many steps ------------------------------------------------------------------------------


def names(answer: httpx.Response) -> list[str]:
    return re.findall(r'<th role="rowheader" scope="row">(row_\d+)</th>', answer.text)


def test_of_many_steps_a_page_is_shown_and_others_are_linked(full: Site) -> None:
    newest = full.page("66666666-many")
    shown = names(newest)
    assert shown[-1] == "row_04999"
    assert "4,977–5,000 of 5,000" in unescape(newest.text)
    first = follow(full, newest, "First")
    assert names(first) == [f"row_{number:05}" for number in range(24)]
    later = follow(full, first, "Later")
    assert names(later)[0] == "row_00024"
    assert names(follow(full, later, "Earlier")) == names(first)
    assert names(follow(full, later, "Last")) == shown
    failed = follow(full, first, "First of 5 failed")
    assert names(failed)[0] == "row_00500"
    assert names(follow(full, failed, "Next failed"))[0] == "row_01477"


def follow(site: Site, answer: httpx.Response, text: str) -> httpx.Response:
    found = re.search(rf'<a [^>]*href="([^"]+)"[^>]*>{text}</a>', answer.text)
    assert found, text
    return httpx.get(urljoin(str(answer.url), unescape(found[1])), timeout=60)


def test_the_strip_above_leads_to_the_steps_of_a_time(full: Site) -> None:
    page = full.page("66666666-many", steps="first")
    columns = re.findall(r'<a href="([^"]*since:[^"]*)"[^>]*><title>([^<]*)</title>', page.text)
    counts = [int(re.match(r"[\d,]+", text)[0].replace(",", "")) for _, text in columns]
    assert sum(counts) == 5000
    assert sum("failed" in text for _, text in columns) == 5
    third = httpx.get(urljoin(str(page.url), unescape(columns[2][0])), timeout=60)
    assert names(third)[0] == f"row_{sum(counts[:2]):05}"


def test_one_step_can_be_asked_for(full: Site) -> None:
    page = full.page("66666666-many", step="row_02500")
    assert names(page)[0] == "row_02500"
    assert '"asked"' in page.text
    alone = full.page("66666666-many", step="row_02500", part="step")
    assert alone.status_code == 200
    assert "2500" in alone.text and "<table" not in alone.text
    assert full.page("66666666-many", step="nothing", part="step").status_code == 404
    assert "There is no such step" in full.page("66666666-many", step="nothing").text


@pytest.mark.parametrize("id_", ["66666666-many", "11111111-retries", "44444444-parent"])
@pytest.mark.parametrize("view", ["", "order"])
def test_a_page_is_small_with_all_of_ours_that_it_loads(full: Site, id_: str, view: str) -> None:
    page = full.page(id_, view=view)
    assert weight(page) < 100_000
    assert not re.search(r'(?:src|href)="(?:https?:)?//', body(page))


def test_a_page_with_hundreds_of_children_is_small_too(site: Site) -> None:
    ids = [str(uuid4()) for _ in range(600)]
    parent = str(uuid4())
    it = Written(site.store, parent, 60 * SECOND)
    for number, id_ in enumerate(ids):
        it.wait(f"kid_{number}", number * MS, None, kind=Kind.CHILD, target_id=id_)
        it.step(f"done_{number}", 0, SECOND, id_, kind=Kind.INVOKE)
        given = {"parent_execution_id": parent, "parent_step_key": f"kid_{number}"}
        if number < 40:
            Written(site.store, id_, 50 * SECOND, **given).put(Status.QUEUED)
    it.put(Status.WAITING)
    page = site.page(parent)
    assert "600 waiting" in page.text
    assert "590 more that it waits for are not shown." in page.text
    assert "40 children" in read(page).text
    tree = body(page).partition('id="family"')[2]
    there = re.findall(r'execution/([\w-]{36})"', tree)
    older = body(follow(site, page, "Older children")).partition('id="family"')[2]
    assert not set(there) & set(re.findall(r'execution/([\w-]{36})"', older))
    assert weight(page) < 100_000


def weight(page: httpx.Response) -> int:
    """How much a browser loads that has Flower's own files already."""
    files = set(LOADED.findall(page.text))
    assert {"polos.css", "polos.js", "polos-execution.css", "polos-execution.js"} <= files
    return len(page.content) + sum((FOLDER / name).stat().st_size for name in files)


# -- values ----------------------------------------------------------------------------------


def test_values_are_shown_with_indentation_and_large_ones_in_part(site: Site) -> None:
    it = Written(site.store, "values", 60 * SECOND)
    it.step("small", 0, SECOND, {"a": [1, {"b": None}]}, given=[{"in": 1}])
    it.step("large", SECOND, 2 * SECOND, {"lines": [f"line {number}" for number in range(5000)]})
    it.put(Status.COMPLETED)
    page = unescape(body(site.page("values", step="large", steps="first")))
    assert '{\n  "a": [\n    1,\n    {\n      "b": null\n    }\n  ]\n}' in page
    assert '"in": 1' in page
    assert "line 50" in page and "line 2000" not in page
    whole = site.get(
        "/workflows/execution/values/value", params={"step": "large", "what": "output"}
    )
    assert whole.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    assert whole.headers["Content-Disposition"] == "inline"
    assert '  "lines": [\n    "line 0",' in whole.text and '"line 4999"' in whole.text
    assert "/workflows/execution/values/value?what=output&step=large" in page


def test_what_is_large_comes_when_it_is_unfolded(site: Site) -> None:
    it = Written(site.store, "budget", 60 * SECOND)
    for number in range(20):
        it.step(f"step_{number}", 0, number * MS, {"text": "x" * 1500})
    it.put(Status.COMPLETED)
    page = body(site.page("budget"))
    later = re.findall(r'data-polos-load="[^"]+"><summary>.*?</summary><a href="([^"]+)">', page)
    assert 5 < len(later) < 20
    assert page.count("x" * 1500) == 20 - len(later)
    url = urljoin(f"{site.url}/workflows/execution/budget", unescape(later[0]))
    assert "x" * 1500 in httpx.get(f"{url}&part=step", timeout=60).text


@pytest.mark.parametrize(
    ("step", "what", "said"),
    [
        (None, "payload", '"order": 1'),
        (None, "result", '"paid": true'),
        ("validate", "output", '"valid": true'),
        ("validate", "input", '"a1"'),
    ],
)
def test_each_value_has_an_address(full: Site, step: str | None, what: str, said: str) -> None:
    given = {"what": what} | ({"step": step} if step else {})
    answer = full.get("/workflows/execution/11111111-retries/value", params=given)
    assert answer.status_code == 200
    assert said in answer.text


def test_an_error_as_text_is_whole(full: Site) -> None:
    path = "/workflows/execution/22222222-failed/value"
    for given in ({"what": "error"}, {"what": "error", "step": "charge_card"}):
        answer = full.get(path, params=given)
        assert answer.text.startswith("CardDeclined: card declined: insufficient funds\n")
        assert "shop/gateway.py" in answer.text


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"what": "celery_options"},
        {"what": "lease_token"},
        {"what": "payload", "step": "validate"},
        {"what": "output"},
        {"what": "output", "step": "nothing"},
        {"what": "error", "step": "validate"},
        {"what": "output", "step": "\0"},
        {"what": "output", "step": "x" * 300},
    ],
)
def test_there_is_no_other_value(full: Site, given: dict[str, str]) -> None:
    answer = full.get("/workflows/execution/11111111-retries/value", params=given)
    assert answer.status_code == 404


def test_masked_fields_are_masked_everywhere(tmp_path: Path) -> None:
    secret = "4111-1111-1111-1111"
    with opened(f"sqlite:///{tmp_path / 'polos.db'}", redact=["card"]) as site:
        it = Written(site.store, "masked", 60 * SECOND)
        long = {"card": secret * 300, "then": 1}
        given = [{"card": secret}]
        it.step("a", 0, SECOND, {"card": secret}, given=given).step("b", 0, SECOND, long)
        it.put(Status.COMPLETED, payload={"deep": [{"card": secret}]})
        page = site.page("masked").text + site.page("masked", step="b").text
        for step, what in ((None, "payload"), ("a", "output"), ("a", "input"), ("b", "output")):
            named = {"what": what} | ({"step": step} if step else {})
            page += site.get("/workflows/execution/masked/value", params=named).text
        assert "***" in page
        assert "4111" not in page


def test_values_that_cannot_be_read_hide_nothing_else(site: Site) -> None:
    it = Written(site.store, "damaged", 60 * SECOND)
    it.step("good", 0, SECOND, "fine").step("bad", 0, SECOND, 1).step("odd", 0, SECOND, 1)
    it.step("broken", 0, SECOND, 1)
    it.steps[1]["value"] = b"\xff\xfe{"
    it.steps[2]["value"] = b'{"$": "nobody knows"}'
    it.steps[3] |= {"value": None, "failure": b"[["}
    it.put(Status.COMPLETED, payload=1)
    text = read(site.page("damaged")).text
    assert "fine" in text
    assert "can't be read" in text
    assert "the reason can't be read" in text


# -- hostile ---------------------------------------------------------------------------------


def test_hostile_texts_are_texts(full: Site) -> None:
    answers = [full.page("77777777-hostile")]
    answers += [full.page("77777777-hostile", part=part) for part in PARTS]
    keys = [f"{kind}_{n}" for kind in ("value", "error") for n in range(len(HOSTILE))]
    keys += [text for text in HOSTILE if "\0" not in text and text.isprintable()][:3]
    answers += [full.page("77777777-hostile", step=key, part="step") for key in keys]
    for answer in answers:
        assert answer.status_code == 200, answer.url
        page = Read(answer.text)
        for tag, given in page.tags:
            assert not any(name.startswith("on") for name in given)
            assert tag != "script" or "/static/" in (given["src"] or "")
            assert not (given.get("href") or "").lower().startswith(("javascript:", "data:"))
        assert not any(tag == "img" and given.get("src") == "x" for tag, given in page.tags)
        assert " 49 " not in page.text
        assert not re.search(
            "[\u202a-\u202e\u2066-\u2069\u200e\u200f\x00-\x08\x1b\x7f-\x9f]", answer.text
        )
    whole = unescape(answers[0].text)
    assert "<script>alert(1)</script>" in whole
    assert "\\u202egnp.exe" in whole
    assert "\\ud800 lone" in whole


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_values_are_plain_text_when_whole(full: Site, number: int) -> None:
    for what, key in (("output", f"value_{number}"), ("error", f"error_{number}")):
        answer = full.get(
            "/workflows/execution/77777777-hostile/value", params={"what": what, "step": key}
        )
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        answer.content.decode("utf-8")


@pytest.mark.parametrize("name", ["steps", "step", "view", "part", "children", "what"])
@pytest.mark.parametrize(
    "value",
    [
        "'; DROP TABLE polos_executions; --",
        "after:x",
        "after:",
        "before:é",
        "since:-1",
        "since:99999999999999999999",
        "since:x",
        "failed:" + "A" * 400,
        "../../etc/passwd",
        "<script>",
        "\0",
        "x" * 5000,
    ],
)
def test_arguments_that_make_no_sense_do_no_harm(full: Site, name: str, value: str) -> None:
    answer = full.page("11111111-retries", **{name: value})
    assert answer.status_code in {200, 404}
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize(
    "id_", ["nope", "%00", "..%2f..%2fetc", "%27%3B--", "x" * 300, "%ed%a0%80", "%3Cscript%3E"]
)
def test_a_page_says_that_there_is_no_such_execution(site: Site, id_: str) -> None:
    answer = site.get(f"/workflows/execution/{id_}")
    assert answer.status_code == (400 if id_ == "%ed%a0%80" else 404)
    if id_ == "nope":
        assert "There is no such execution" in answer.text
        assert "polos prune" in answer.text
        assert "execution <code>nope</code>" in answer.text


def test_another_project_sees_nothing_of_it(full: Site) -> None:
    id_ = "11111111-retries"
    assert full.page(id_, project="other").status_code == 404
    path = f"/workflows/execution/{id_}/value"
    assert full.get(path, params={"what": "payload", "project": "other"}).status_code == 404
    theirs = SqlStore(full.store.database, "other")
    Written(theirs, "theirs", 5 * SECOND, parent_execution_id=id_).put(Status.QUEUED)
    page = read(full.page("theirs", project="other"))
    assert "There is no such" not in page.text
    # Its parent is in the first project.
    assert "11111111" not in page.text.replace("step of 11111111", "")
    assert full.page("theirs").status_code == 404
    assert all("project=other" in link for link in page.links if "/workflows" in link)


# -- live ------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_what_the_page_holds_and_is_not_sent_twice(full: Site, part: str) -> None:
    id_ = "22222222-failed"
    fragment = full.page(id_, part=part)
    squeezed = " ".join(fragment.text.split())
    assert squeezed and squeezed in " ".join(full.page(id_).text.split())
    assert "<main" not in fragment.text
    etag = fragment.headers["ETag"]
    answer = full.get(
        f"/workflows/execution/{id_}", params={"part": part}, headers={"If-None-Match": etag}
    )
    assert (answer.status_code, answer.content) == (304, b"")


def test_parts_of_what_has_ended_say_so(full: Site) -> None:
    for part in ("head", "timeline", "steps"):
        assert "data-polos-ended" in full.page("22222222-failed", part=part).text
        assert "data-polos-ended" not in full.page("55555555-running", part=part).text


def test_the_rows_of_what_still_runs_change_only_with_it(full: Site) -> None:
    for id_ in ("55555555-running", "33333333-waiting", "44444444-parent"):
        first = full.page(id_, part="steps")
        etag = first.headers["ETag"]
        again = full.get(
            f"/workflows/execution/{id_}", params={"part": "steps"}, headers={"If-None-Match": etag}
        )
        assert again.status_code == 304


def test_ids_are_the_same_at_each_look_and_each_there_once(full: Site) -> None:
    for id_ in ("22222222-failed", "44444444-parent", "77777777-hostile"):
        first, second = (re.findall(r' id="([^"]+)"', full.page(id_).text) for _ in range(2))
        assert first == second
        assert len(first) == len(set(first))


# -- elsewhere -------------------------------------------------------------------------------


def test_flower_knows_the_task_or_not(site: Site) -> None:
    Written(site.store, "a-task", 5 * SECOND).put(Status.QUEUED)
    assert "not seen by this Flower" in site.page("a-task").text
    assert site.get("/task/a-task").status_code == 404
    event = {"type": "task-sent", "uuid": "a-task", "hostname": "w@h", "timestamp": 1.0}
    event |= {"clock": 1, "utcoffset": 0, "pid": 1, "local_received": 1.0}
    state = site.flower.events.state
    state.event(event | {"name": "polos.order_processor"})
    assert "/task/a-task" in read(site.page("a-task")).links
    assert "/workflows/execution/a-task" in Read(site.get("/task/a-task").text).links
    state.event(event | {"name": "polos.order_processor", "type": "task-received"})
    assert "/worker/w%40h" in read(site.page("a-task")).links
    state.event(event | {"name": "shop.other", "uuid": "plain"})
    state.event(event | {"name": "polos.internal/step_done", "uuid": "inner"})
    for id_ in ("plain", "inner"):
        assert "/workflows/execution/" not in site.get(f"/task/{id_}").text


def test_a_database_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    file = tmp_path / "polos.db"
    with opened(f"sqlite:///{file}") as site:
        Written(site.store, "one", 5 * SECOND).put(Status.QUEUED)
        assert site.page("one").status_code == 200
        site.store.database.close()
        file.rename(tmp_path / "elsewhere")
        file.mkdir()
        answer = site.page("one")
        assert answer.status_code == 503
        assert "can't be reached" in unescape(answer.text)


def test_below_a_prefix_every_link_leads_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options.mockable(), "url_prefix", "/below")
    with opened(f"sqlite:///{tmp_path / 'polos.db'}") as site:
        it = Written(site.store, "one", 60 * SECOND, session_id="s", forked_from="other")
        it.step("large", 0, SECOND, "x" * 9000).put(Status.COMPLETED)
        page = site.get("/below/workflows/execution/one", params={"step": "large"})
        links = read(page).links
        assert any("/value?" in link for link in links)
        for link in links:
            assert link.startswith(("/below/", "?", "#")), link
            answer = httpx.get(urljoin(str(page.url), link), timeout=60)
            assert answer.status_code == (404 if link.endswith("/other") else 200), link
        assert all(
            "/below/polos/static/" in it
            for it in re.findall(r'"([^"]*/static/polos[^"]*)"', page.text)
        )


def test_ids_may_need_quoting(site: Site) -> None:
    id_ = "order 17/ä?&#+"
    it = Written(site.store, id_, 5 * SECOND)
    it.step("a b&c=d", 0, SECOND, {"x": "y" * 5000}).put(Status.COMPLETED)
    page = site.get(f"/workflows/execution/{quote(id_, safe='')}", params={"step": "a b&c=d"})
    assert '"asked"' in page.text
    [link] = [link for link in read(page).links if "what=output" in link]
    assert len(site.get(link).text) > 5000


def test_a_page_before_the_first_full_one_is_filled_from_behind(site: Site) -> None:
    it = Written(site.store, "thirty")
    for number in range(30):
        it.step(f"step_{number:02}", SECOND, SECOND + number * MS, number)
    it.put(Status.COMPLETED, 2 * SECOND)
    place = StepPlace(0, 7, "step_06").to_cursor()
    text = site.page("thirty", steps=f"before:{place}").text
    assert "<b>1–24 of 30</b>" in text


@pytest.mark.parametrize("id_", ["shop/value", "shop/../order", "shop//order", "50%2F"])
def test_the_list_leads_to_an_execution_whatever_its_id(site: Site, id_: str) -> None:
    Written(site.store, id_).put(Status.COMPLETED)
    listed = site.get("/workflows", params={"text": id_}).text
    found = re.search(r'class="polos-id"><a href="([^"]*)"', listed)
    assert found is not None
    page = httpx.get(urljoin(site.url, unescape(found[1])))
    assert f'<code id="execution-id">{id_}</code>' in page.text
