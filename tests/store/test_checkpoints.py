"""Checkpoints: fenced, first come first kept, ordered, any bytes."""

from __future__ import annotations

import pytest
from sqlalchemy import insert

from polos.errors import LeaseLost
from polos.model.records import Checkpoint, Kind, Micros, Wait
from polos.model.states import Status
from polos.store.schema import checkpoints, waits
from polos.store.sql_store import SqlStore
from tests.store.scenes import (
    FAILURE,
    REFUSED,
    claim,
    edit,
    everything,
    keys,
    now,
    put,
    running,
    step,
    timer,
)
from tests.store.threads import errors, race
from tests.support.statements import statements

pytestmark = pytest.mark.pooled


def test_a_checkpoint_is_kept_as_it_was_given(store: SqlStore) -> None:
    claimed = running(store)
    given = [
        step("a", b"1", turn=2, position=3, attempts=4, started_at=Micros(17)),
        Checkpoint("b", Kind.UUID, value=b"", position=1),
        Checkpoint("c", Kind.CHILD, turn=1, failure=FAILURE),
    ]
    before = now(store.database)
    assert store.checkpoint("one", claimed.token, given) == {}
    after = now(store.database)
    loaded, pending = store.load("one")
    assert pending == ()
    assert [row.step_key for row in loaded] == ["b", "c", "a"]
    by_key = {row.step_key: row for row in loaded}
    for row in given:
        found = by_key[row.step_key]
        assert before <= found.created_at <= after
        for name in set(Checkpoint.__slots__) - {"created_at"}:
            assert getattr(found, name) == getattr(row, name), name


def test_checkpoints_come_in_the_order_of_turn_and_position(store: SqlStore) -> None:
    claimed = running(store)
    for turn, position in [(2, 0), (0, 10), (1, 2), (0, 9), (1, 0), (2, 1)]:
        row = step(f"{turn}.{position}", turn=turn, position=position)
        store.checkpoint("one", claimed.token, [row])
    assert keys(store, "one") == ["0.9", "0.10", "1.0", "1.2", "2.0", "2.1"]


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_a_checkpoint_is_one_statement_and_commits_by_itself(store: SqlStore, rows: int) -> None:
    claimed = running(store)
    with statements(store.database) as sent:
        store.checkpoint("one", claimed.token, [step(f"s{n}", position=n) for n in range(rows)])
    assert len(sent) == 1
    assert len(keys(store, "one")) == rows
    # Another connection sees it: nothing is left open.
    store.database.transaction(lambda connection: connection.execute(insert_of("two-writers")))


def insert_of(key: str):
    values = {"execution_id": "one", "step_key": key, "kind": "step", "turn": 0, "position": 0}
    return insert(checkpoints).values(**values, value=b"v", attempts=1, created_at=1)


def test_the_first_commit_wins_and_the_second_adopts_it(store: SqlStore) -> None:
    claimed = running(store)
    store.checkpoint("one", claimed.token, [step("a", b"first", position=1)])
    adopted = store.checkpoint("one", claimed.token, [step("a", b"second", position=9)])
    assert adopted.keys() == {"a"}
    assert (adopted["a"].value, adopted["a"].position) == (b"first", 1)
    assert store.load("one")[0] == (adopted["a"],)


def test_of_several_rows_only_the_new_ones_are_written(store: SqlStore) -> None:
    claimed = running(store)
    store.checkpoint("one", claimed.token, [step("b", b"first", position=1)])
    given = [step("a", b"a", position=2), step("b", b"second", position=3), step("c", b"c")]
    adopted = store.checkpoint("one", claimed.token, given)
    assert adopted["b"].value == b"first"
    assert {row.step_key: row.value for row in store.load("one")[0]} == {
        "a": b"a",
        "b": b"first",
        "c": b"c",
    }
    assert adopted.keys() == {"b"}


def test_two_writers_of_one_key_at_once_keep_one_value(store: SqlStore) -> None:
    claimed = running(store)
    for turn in range(20):
        results = race(
            *(
                lambda value=value, turn=turn: store.checkpoint(
                    "one", claimed.token, [step(f"s{turn}", value)]
                )
                for value in (b"x", b"y")
            )
        )
        assert not errors(results)
        [adopted] = [result for result in results if result]
        [kept] = [row for row in store.load("one")[0] if row.step_key == f"s{turn}"]
        assert adopted[f"s{turn}"] == kept


@pytest.mark.parametrize("token", ["another", "", "TOKEN", "token "])
def test_a_wrong_token_writes_nothing(store: SqlStore, token: str) -> None:
    put(store.database, Status.RUNNING)
    before = everything(store.database)
    with pytest.raises(LeaseLost) as caught:
        store.checkpoint("one", token, [step("a"), step("b")])
    assert caught.value.execution_id == "one"
    with pytest.raises(LeaseLost):
        store.checkpoint("one", token, [step("a")], [timer("t", 5)])
    with pytest.raises(LeaseLost):
        store.keep_wait("one", token, timer("t", 5))
    with pytest.raises(LeaseLost):
        store.seen("one", token)
    assert everything(store.database) == before
    assert store.checkpoint("one", "token", [step("a")]) == {}


def test_a_lost_lease_adopts_nothing(store: SqlStore) -> None:
    claimed = running(store)
    store.checkpoint("one", claimed.token, [step("a")])
    store.release("one", claimed.token)
    claim(store, "one")
    with pytest.raises(LeaseLost):
        store.checkpoint("one", claimed.token, [step("a")])


def test_the_fence_compares_the_token_and_never_the_expiry(store: SqlStore) -> None:
    claimed = running(store)
    edit(store.database, "one", lease_expires_at=1)
    store.checkpoint("one", claimed.token, [step("a")])
    assert keys(store, "one") == ["a"]


def test_a_token_is_good_for_one_execution_only(store: SqlStore) -> None:
    claimed = running(store, "one")
    running(store, "two")
    with pytest.raises(LeaseLost):
        store.checkpoint("two", claimed.token, [step("a")])


@pytest.mark.parametrize(
    "value",
    [b"", b"\x00", b"a\x00b", bytes(range(256)), b"\xff\xfe", "ü\u2028".encode(), b"x" * 3_000_000],
    ids=["empty", "nul", "inner-nul", "all-bytes", "no-utf8", "text", "large"],
)
def test_values_are_bytes_of_any_kind(store: SqlStore, value: bytes) -> None:
    claimed = running(store)
    store.checkpoint("one", claimed.token, [step("a", value)])
    [found] = store.load("one")[0]
    assert found.value == value
    assert type(found.value) is bytes


def test_keys_are_compared_byte_for_byte(store: SqlStore) -> None:
    claimed = running(store)
    different = [
        "k",
        "K",
        "k ",
        " k",
        "ß",
        "ss",
        "é",
        "e\u0301",
        "Ⅳ",
        "IV",
        "k\u200b",
        "ｋ",
        "'",
        "%s",
    ]
    for position, key in enumerate(different):
        row = step(key, key.encode(), position=position)
        assert store.checkpoint("one", claimed.token, [row]) == {}, key
    assert keys(store, "one") == different
    for key in different:
        assert store.checkpoint("one", claimed.token, [step(key, b"x")])[key].value == key.encode()


def test_checkpoint_and_waits_are_one_transaction(store: SqlStore) -> None:
    claimed = running(store)
    store.checkpoint("one", claimed.token, [step("a")], [timer("t", 500)])
    assert store.load("one")[1] == (timer("t", 500),)
    adopted = store.checkpoint("one", claimed.token, [step("a", b"again")], [timer("u", 600)])
    assert adopted["a"].value == b"value"
    assert {wait.step_key for wait in store.load("one")[1]} == {"t", "u"}


def test_a_commit_whose_answer_was_lost_can_be_sent_again(store: SqlStore) -> None:
    claimed = running(store)
    for _ in range(2):
        store.checkpoint("one", claimed.token, [step("a")], [timer("t", 500)])
        store.keep_wait("one", claimed.token, timer("u", 600))
    assert keys(store, "one") == ["a"]
    assert {wait.step_key for wait in store.load("one")[1]} == {"t", "u"}


def test_keep_wait_takes_the_place_of_the_one_before(store: SqlStore) -> None:
    claimed = running(store)
    first = Wait("a", Kind.STEP, due_at=Micros(5), attempts=1, failure=FAILURE)
    second = Wait("a", Kind.STEP, due_at=Micros(9), attempts=2, started_at=Micros(1))
    store.keep_wait("one", claimed.token, first)
    assert store.load("one")[1] == (first,)
    store.keep_wait("one", claimed.token, second)
    assert store.load("one")[1] == (second,)


def test_a_wait_with_a_checkpoint_is_over(store: SqlStore) -> None:
    claimed = running(store)
    store.keep_wait("one", claimed.token, timer("a", 5))
    store.keep_wait("one", claimed.token, timer("b", 5))
    store.checkpoint("one", claimed.token, [step("a")])
    assert store.load("one")[1] == (timer("b", 5),)


@pytest.mark.parametrize(
    "change",
    [{"value": None}, {"failure": b"f"}],
    ids=["neither", "both"],
)
def test_a_checkpoint_has_either_a_value_or_a_failure(store: SqlStore, change: dict) -> None:
    running(store)
    with pytest.raises(REFUSED, match="polos_ck_"):
        store.database.run(insert_of("a").values(**change))


def test_a_wait_has_something_that_ends_it(store: SqlStore) -> None:
    running(store)
    values = {"execution_id": "one", "step_key": "a", "kind": "wait", "attempts": 0}
    with pytest.raises(REFUSED, match="polos_ck_"):
        store.database.run(insert(waits).values(values))


@pytest.mark.parametrize("statement", [lambda: insert_of("a")], ids=["checkpoint"])
def test_nothing_is_recorded_of_an_execution_that_is_not_there(store: SqlStore, statement) -> None:
    with pytest.raises(REFUSED, match="(?i)foreign key"):
        store.database.run(statement())


def test_seen_tells_what_came_from_outside(store: SqlStore) -> None:
    claimed = running(store)
    assert store.seen("one", claimed.token) == (0, None)
    store.cancel("one")
    wakeups, cancelled_at = store.seen("one", claimed.token)
    assert (wakeups, cancelled_at is not None) == (1, True)
