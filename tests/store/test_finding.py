"""What people find: all of it, page by page in both directions, and at a bounded cost."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from polos.model.finding import Awaited, Count, Sought
from polos.model.listing import Place
from polos.model.records import Kind, Micros
from polos.model.states import Status
from polos.store import counting, finding, projects, sources
from polos.store.sql_store import SqlStore
from tests.store.reading import analyze, most_rows_read
from tests.store.scenes import edit, new, put, running
from tests.support.bulk import finish_many, park_many, queue_many

SOME = 230
OPEN = (Status.QUEUED, Status.RUNNING, Status.WAITING)
SOUGHT: dict[str, dict[str, Any]] = {
    "all": {},
    "workflow": {"workflow_id": "flow-1"},
    "session": {"session_id": "session-1"},
    "user": {"user_id": "user-1"},
    "tag": {"tag": "tag-1"},
    "time": {"created_after": Micros(10**12 + 10**4), "created_before": Micros(10**12 + 10**5)},
    "id": {"id_prefix": "e00010"},
    "id and status": {"id_prefix": "e0001", "statuses": (Status.FAILED,)},
    "id and all else": {
        "id_prefix": "e0000",
        "workflow_id": "flow-1",
        "tag": "tag-1",
        "created_after": Micros(10**12 + 10**4),
    },
    "failed": {"statuses": (Status.FAILED,)},
    "completed": {"statuses": (Status.COMPLETED,)},
    "completed of a workflow": {"statuses": (Status.COMPLETED,), "workflow_id": "flow-2"},
    "queued": {"statuses": (Status.QUEUED,)},
    "running": {"statuses": (Status.RUNNING,)},
    "waiting": {"statuses": (Status.WAITING,)},
    "open": {"statuses": OPEN},
    "open of a workflow": {"statuses": OPEN, "workflow_id": "flow-2"},
    "sparse ones": {"statuses": (Status.FAILED, Status.CANCELLED), "workflow_id": "flow-5"},
    "all but one status": {"statuses": tuple(set(Status) - {Status.FAILED})},
    "all statuses": {"statuses": tuple(Status)},
    "failed of a workflow": {"statuses": (Status.FAILED,), "workflow_id": "flow-3"},
    "failed of a workflow without any": {"statuses": (Status.FAILED,), "workflow_id": "flow-1"},
    "failed of a tag": {"statuses": (Status.FAILED,), "tag": "tag-7"},
    "waiting of a session": {"statuses": (Status.WAITING,), "session_id": "session-1"},
    "user and session": {"user_id": "user-3", "session_id": "session-3"},
    "nobody": {"user_id": "nobody"},
}


@pytest.fixture
def full(store: SqlStore) -> SqlStore:
    """Executions of all kinds, and some of another project."""
    finish_many(store, SOME)
    park_many(store, "flow-1", b"{}", 40)
    queue_many(store, "flow-2", b"{}", 25)
    for number in range(4):
        put(store.database, Status.RUNNING, f"r{number}", lease_steps='["charge"]')
        store.start(new(f"e0001-theirs-{number}", project_id="theirs", tags=("tag-1",)))
    # Sparse ones of several workflows, side by side in time.
    for number in range(60):
        for status, every in ((Status.CANCELLED, 7), (Status.FAILED, 11)):
            name, moment = f"{status}-{number}", 10**12 + number * 3700 + every
            put(store.database, status, name)
            workflow = f"flow-{number % every}"
            edit(store.database, name, created_at=moment, workflow_id=workflow)
    return store


def all_that_is(store: SqlStore, sought: Sought) -> list[str]:
    """The ids of what is looked for, found by looking at each."""
    rows = store.database.run(text("SELECT * FROM polos_executions"))
    tagged = store.database.run(text("SELECT execution_id, tag FROM polos_tags"))
    tags = {(row.execution_id, row.tag) for row in tagged}

    def fits(row: Any) -> bool:
        same = ("workflow_id", "session_id", "user_id")
        return (
            row.project_id == "default"
            and all(getattr(sought, it) in (None, getattr(row, it)) for it in same)
            and (not sought.statuses or row.status in sought.statuses)
            and (sought.tag is None or (row.id, sought.tag) in tags)
            and row.id.startswith(sought.id_prefix or "")
            and row.created_at >= (sought.created_after or 0)
            and row.created_at < (sought.created_before or 2**63)
        )

    found = [row for row in rows if fits(row)]
    if sought.id_prefix is not None:
        return sorted(row.id for row in found)
    return [row.id for row in sorted(found, key=lambda it: (it.created_at, it.id), reverse=True)]


@pytest.mark.parametrize("window", [25, sources.WINDOW])
def test_page_by_page_all_is_found_there_and_back(
    full: SqlStore, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    monkeypatch.setattr(finding, "WINDOW", window)
    monkeypatch.setattr(sources, "WINDOW", window)
    for name, given in SOUGHT.items():
        sought = Sought(**given, limit=20)
        wanted = all_that_is(full, sought)
        there = [full.find(sought)]
        while there[-1].older is not None:
            there.append(full.find(sought.at(there[-1].older)))
        assert [it.summary.id for page in there for it in page.items] == wanted, name
        assert there[0].newer is None
        assert all(len(page.items) == 20 or page.partly or page is there[-1] for page in there)
        back = [there[-1]]
        while back[-1].newer is not None:
            back.append(full.find(sought.at(back[-1].newer, newer=True)))
        found = {it.summary.id for page in back for it in page.items}
        assert found == set(wanted), name
        assert back[-1] == there[0] or len(there) == 1, name


def test_a_page_before_the_first_full_one_is_the_first(full: SqlStore) -> None:
    second = full.find(Sought(limit=20, place=full.find(Sought(limit=5)).older))
    before = full.find(Sought(limit=20, place=second.newer, newer=True))
    assert before == full.find(Sought(limit=20))


# -- what they do ------------------------------------------------------------------------


def test_what_each_does_or_waits_for_is_with_it(store: SqlStore) -> None:
    running(store, "one")
    edit(store.database, "one", lease_steps='["charge", "ship"]')
    put(store.database, Status.WAITING, "two")
    add_waits(store, "two", 2)
    put(store.database, Status.WAITING, "many")
    add_waits(store, "many", 9)
    found = {it.summary.id: it for it in store.find(Sought()).items}
    assert found["one"].steps == ("charge", "ship")
    assert found["two"].awaited == (Awaited("w0", Kind.TIMER, Micros(7)), child("w1"))
    assert not found["two"].more
    assert found["many"].awaited == (Awaited("w0", Kind.TIMER, Micros(7)), child("w1"), child("w2"))
    assert found["many"].more


@pytest.mark.parametrize("text_of_steps", ["nonsense", "7", "null", '{"a": 1}', "[1]"])
def test_steps_that_cannot_be_read_hide_no_row(store: SqlStore, text_of_steps: str) -> None:
    running(store, "one")
    edit(store.database, "one", lease_steps=text_of_steps)
    assert [it.summary.id for it in store.find(Sought()).items] == ["one"]


def add_waits(store: SqlStore, execution_id: str, count: int) -> None:
    for number in range(count):
        due, target = ("7", "NULL") if number == 0 else ("NULL", "'kid'")
        kind = "wait" if number == 0 else "invoke_and_wait"
        store.database.run(
            text(
                "INSERT INTO polos_waits "
                "(execution_id, step_key, kind, due_at, target_id, attempts) "
                f"VALUES ('{execution_id}', 'w{number}', '{kind}', {due}, {target}, 0)"
            )
        )


def child(key: str) -> Awaited:
    return Awaited(key, Kind.CHILD, None, "kid")


# -- counts, projects, workflows ---------------------------------------------------------


@pytest.mark.parametrize("most", [counting.MOST, 5])
def test_counts_are_exact_as_far_as_they_go(
    full: SqlStore, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(counting, "MOST", most)
    counts = full.counts(Sought())
    for status in Status:
        number = len(all_that_is(full, Sought(statuses=(status,))))
        if status is Status.QUEUED and most == 5:
            # Others, of all projects, are to be sent earlier; so far it was not counted.
            assert counts[status].more
            assert counts[status].number <= number
        else:
            assert counts[status] == Count(min(number, most), number > most), status
    for name, given in SOUGHT.items():
        counts = full.counts(Sought(**given))
        narrow = Sought(**given | {"statuses": ()})
        if narrow.is_narrow and most != 5:
            for status in Status:
                found = all_that_is(full, Sought(**given | {"statuses": (status,)}))
                assert counts[status] == Count(len(found)), (name, status)


def test_counts_of_one_project_leave_the_others_out(full: SqlStore) -> None:
    theirs = SqlStore(full.database, "theirs")
    assert theirs.counts(Sought())[Status.QUEUED] == Count(4)
    assert sum(it.number for it in theirs.counts(Sought()).values()) == 4
    assert len(theirs.find(Sought()).items) == 4


def test_projects_and_workflows_are_found_without_reading_all(full: SqlStore) -> None:
    assert full.projects() == ("default", "theirs")
    full.register_workflows(["flow-1", "of-a-worker"])
    own = sorted(f"flow-{number}" for number in range(11))
    assert full.workflows() == ("flow", *own, "of-a-worker")
    assert SqlStore(full.database, "nobody's").workflows() == ()
    analyze(full.database)
    read = most_rows_read(full.database, lambda: projects.projects(full.database))
    read += most_rows_read(full.database, full.workflows)
    assert read < 80


# -- what it costs -----------------------------------------------------------------------

MANY, WINDOW, LIMIT = 3000, 100, 10
LATER = Place(Micros(10**12 + 1_500_000), "x")
COSTS = SOUGHT | {
    "a later page": {"place": LATER},
    "the page before": {"place": LATER, "newer": True},
    "a later page of a workflow": {"place": LATER, "workflow_id": "flow-1"},
    "a page before, of a tag": {"place": LATER, "newer": True, "tag": "tag-1"},
    "a later page of an id": {"id_prefix": "e0", "place": Place(Micros(0), "e002000")},
    "a later page of ended ones": {"statuses": (Status.FAILED, Status.COMPLETED), "place": LATER},
}
# For each status a window, and for each row of it what is looked at besides.
BOUND = 6 * (2 * WINDOW + 20 * LIMIT)


@pytest.mark.parametrize("analyzed", [False, True])
def test_a_page_reads_no_more_however_much_there_is(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, analyzed: bool
) -> None:
    monkeypatch.setattr(finding, "WINDOW", WINDOW)
    monkeypatch.setattr(sources, "WINDOW", WINDOW)
    monkeypatch.setattr(counting, "MOST", WINDOW)
    finish_many(store, MANY)
    park_many(store, "flow-1", b"{}", 600)
    queue_many(store, "flow-2", b"{}", 600)
    if analyzed or store.database.dialect == "postgresql":
        analyze(store.database)
    for name, given in COSTS.items():
        sought = Sought(**given, limit=LIMIT)
        read = most_rows_read(store.database, lambda it=sought: store.find(it))
        assert read < BOUND, (name, read)
        read = most_rows_read(store.database, lambda it=sought: store.counts(it))
        assert read < 12 * WINDOW, (name, read)


def test_of_one_that_waits_for_much_little_is_read(store: SqlStore) -> None:
    put(store.database, Status.WAITING, "many")
    values = ", ".join(f"('many', 'k{number}', 'task', 't', 0)" for number in range(1000))
    columns = "execution_id, step_key, kind, target_id, attempts"
    store.database.run(text(f"INSERT INTO polos_waits ({columns}) VALUES {values}"))
    analyze(store.database)
    assert most_rows_read(store.database, lambda: store.find(Sought())) < 60
