"""What people see of lists, projects, findings and events, as text."""

from __future__ import annotations

from typing import Any

from polos.cli.doctor.finding import error, ok, warning
from polos.cli.screens import findings, flows, listing, overview, progress
from polos.cli.screens.glyphs import UNICODE
from polos.model.facts import DueWork, Overview, SeenWorker
from polos.model.records import Micros, as_micros
from polos.model.workers import WorkerReport
from tests.unit.cli.scenes import NASTY, ORDER, START, at, made, step, text_of

NARROW_LIST = """\
id                                    workflow             status   created
6f1c1d3e-0000-4000-8000-000000000001  order_processor      failed   2 h ago
6f1c1d3e-0000-4000-8000-000000000002  a_workflow_with_a_…  waiting  3 s ago
more: --cursor abc"""

WIDE_LIST = """\
id                                    workflow                   status   created   took  labels
6f1c1d3e-0000-4000-8000-000000000001  order_processor            failed   2 h ago  3.5 s  user bo eu
6f1c1d3e-0000-4000-8000-000000000002  a_workflow_with_a_long_n…  waiting  3 s ago         session s1
more: --cursor abc"""

A_PROJECT = """\
project shop

queued 3   running 0   waiting 1,200   completed 1   failed 2   cancelled 0

worker    slots  idle  workflows  queues        last seen
one@host      4     1          2  celery, slow  400 ms ago
two@host      2     2          1  celery        1 min 35 s ago

due and unclaimed           number  queue  oldest
billing (no worker has it)       3         created 1 min ago
order                        1,200  slow   created 1 s ago

workflows without a worker
  billing, nightly"""

SOME_FINDINGS = """\
ok       broker  redis://host answers
warning  clock   the database's clock is 65.0 s ahead of this host's
                 -> use NTP
error    schema  the database has no tables of Polos
                 -> run 'polos migrate'

1 error, 1 warning"""

SOME_EVENTS = """\
12:00:00.000  created   order
12:00:01.000  taken     by a worker
12:00:01.000  finished  number
12:00:02.000  retried   charge  attempt 1: TimeoutError: busy
12:00:04.000  finished  charge  in 3.0 s
12:00:04.000  waits     pause
12:00:06.000  finished  pause  in 2.0 s
12:00:06.000  started   ship  execution id-of-shipping
12:00:06.000  waits     limit  until 2030-01-01 14:00:10 UTC"""


PAGE = [
    {"id": "6f1c1d3e-0000-4000-8000-000000000001", "workflow_id": "order_processor",
     "status": "failed", "created_at": at(-7200), "started_at": at(-7199),
     "finished_at": at(-7195.5), "user_id": "bo", "session_id": None, "tags": ["eu"]},
    {"id": "6f1c1d3e-0000-4000-8000-000000000002", "workflow_id": "a_workflow_with_a_long_name" * 2,
     "status": "waiting", "created_at": at(-3), "started_at": None, "finished_at": None,
     "user_id": None, "session_id": "s1", "tags": []},
]  # fmt: skip


def listed(width: int) -> str:
    return text_of(listing.drawn(PAGE, START, width, UNICODE, "more: --cursor abc"), width)


def test_a_list_on_80_cells_has_what_everybody_needs() -> None:
    assert listed(80) == NARROW_LIST


def test_a_wide_list_has_more() -> None:
    assert listed(120) == WIDE_LIST


def test_an_empty_list_says_so() -> None:
    assert text_of(listing.drawn([], START, 80, UNICODE)) == "no executions"
    drawn = listing.drawn([], START, 80, UNICODE, place="of project p in sqlite:///x")
    assert text_of(drawn) == "no executions of project p in sqlite:///x"


def test_ids_are_never_cut() -> None:
    long = {**PAGE[0], "id": "x" * 250}
    assert text_of(listing.drawn([long], START, 80, UNICODE)).count("x") == 250


def seen(name: str) -> Overview:
    busy = WorkerReport(name, "owner", 4, 1, ("celery", "slow"), ("order", "shipping"))
    silent = WorkerReport("two@host", "owner", 2, 2, ("celery",), ("billing",))
    return Overview(
        now=as_micros(START),
        workers=(SeenWorker(busy, 0.4), SeenWorker(silent, 95.0)),
        counts={"queued": 3, "running": 0, "waiting": 1200, "completed": 1, "failed": 2,
                "cancelled": 0},
        due=(DueWork("billing", None, 3, Micros(as_micros(START) - 61_000_000)),
             DueWork("order", "slow", 1200, Micros(as_micros(START) - 1_000_000))),
        workflows=frozenset({"order", "shipping", "billing", "nightly"}),
    )  # fmt: skip


def test_a_project_as_a_whole() -> None:
    assert text_of(overview.drawn(overview.data_of(seen("one@host"), "shop"))) == A_PROJECT


def test_the_keys_of_status_are_stable() -> None:
    data = overview.data_of(seen("one@host"), "shop")
    assert list(data) == ["project_id", "now", "workers", "counts", "due", "without_worker"]
    assert list(data["workers"][0]) == [
        "name", "alive", "silent_seconds", "slots", "idle", "queues", "workflows"
    ]  # fmt: skip
    assert list(data["due"][0]) == [
        "workflow_id", "queue", "number", "oldest_created_at", "has_worker"
    ]  # fmt: skip
    assert data["without_worker"] == ["billing", "nightly"]


def test_findings_say_what_to_change() -> None:
    found = [
        ok("broker", "redis://host answers"),
        warning("clock", "the database's clock is 65.0 s ahead of this host's", "use NTP"),
        error("schema", "the database has no tables of Polos", "run 'polos migrate'"),
    ]
    assert text_of(findings.drawn(found)) == SOME_FINDINGS
    assert findings.summary(found[:1]) == "All is well."


def events(data: dict[str, Any]) -> list[str]:
    return [text_of(progress.line(event), 200) for event in progress.events_of(data)]


def test_what_has_happened_line_by_line() -> None:
    assert "\n".join(events(ORDER)) == SOME_EVENTS


def test_a_later_look_tells_nothing_again() -> None:
    told = {event.identity for event in progress.events_of(ORDER)}
    later = made(
        "order", "completed", 0, 1, 20, *ORDER["steps"][:3],
        step("limit", "wait", "completed", 6, 12),
        step("ship", "invoke_and_wait", "completed", 6.2, 19, child_execution_id="id-of-shipping"),
        result=7,
    )  # fmt: skip
    fresh = [it for it in progress.events_of(later) if it.identity not in told]
    assert [(it.event, it.step_key) for it in fresh] == [
        ("finished", "limit"),
        ("finished", "ship"),
        ("completed", ""),
    ]
    assert fresh[-1].text == "with 7"


def test_nothing_of_other_peoples_texts_reaches_the_terminal() -> None:
    item = {"id": NASTY, "workflow_id": NASTY, "status": "failed", "created_at": at(0),
            "user_id": NASTY, "tags": [NASTY]}  # fmt: skip
    text_of(listing.drawn([item], START, 120, UNICODE), 120)
    text_of(progress.line(progress.Event(at(0) or "", "finished", NASTY, NASTY)), 200)
    text_of(findings.drawn([error(NASTY, NASTY, NASTY)]))
    text_of(overview.drawn(overview.data_of(seen(NASTY), NASTY)))
    text_of(flows.list_of([{"id": NASTY, "worker_count": 0, "description": NASTY}]))
