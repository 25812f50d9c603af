"""What a message for a workflow's task must look like."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.message import Message

from polos.binding.kept_options import keep, known_priority, message_options
from polos.binding.message_check import BadMessage, check_message, check_options
from polos.binding.names import AHEAD_HEADER, HINT_HEADER
from polos.binding.strategy import time_by_own_clock, with_own_headers
from polos.errors import CodecError

SIGNATURE = {
    "task": "after",
    "args": [1],
    "kwargs": {},
    "options": {"queue": "q"},
    "subtask_type": None,
}
HEADERS = {"lang": "py", "task": "polos.flow", "id": "one", "retries": 0, "timelimit": [None, None]}


def message(payload: Any, headers: Any = None, **properties: Any) -> Message:
    """A message that was read and decoded."""
    made = Message(headers=HEADERS if headers is None else headers, properties=properties)
    made._decoded_cache = payload
    return made


def check(payload: Any = ((), {}, {}), body: Any = None, **headers: Any) -> None:
    check_message(message(payload, HEADERS | headers), body)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"callbacks": None, "errbacks": None, "chain": None, "chord": None},
        {"callbacks": [SIGNATURE], "errbacks": [SIGNATURE], "chain": [SIGNATURE]},
        {"chord": SIGNATURE},
    ],
)
def test_what_celery_sends_passes(options: dict[str, Any]) -> None:
    check([[{"number": 1}], {}, options])
    check([[], {"number": 1}, options], eta="2030-01-01T00:00:00+00:00", timelimit=[3, 2.5])
    check([[], {}, None], polos_hint=True, group="g", group_index=0, stamps={"a": 1})


def test_protocol_1_passes() -> None:
    body = {"task": "polos.flow", "id": "one", "args": [], "kwargs": {}, "callbacks": [SIGNATURE]}
    check_message(message(body, {}), body)
    check_message(message(body, {"task": "polos.flow"}), None)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (5, "its body is of type int"),
        ("[[], {}, {}]", "its body is of type str"),
        ([[], {}], "its body is of type list"),
        ([5, {}, {}], "its args are of type int"),
        ([[], [], {}], "its kwargs are of type list"),
        ([[], {"self": 1}, {}], "its kwargs hold 'self'"),
        ([[], {}, 7], "its options are of type int"),
        ([[], {}, {"id": "another"}], "its options hold id"),
        ([[], {}, {"get": 1}], "impossible name 'get'"),
        ([[], {}, {"chain": [{}]}], "its chain is of type list, no list of signatures"),
        ([[], {}, {"callbacks": SIGNATURE}], "its callbacks is of type dict"),
        ([[], {}, {"chord": SIGNATURE | {"args": 5}}], "its chord is of type dict, no signature"),
    ],
)
def test_a_body_that_celery_cannot_run(payload: Any, text: str) -> None:
    with pytest.raises(BadMessage, match=text):
        check(payload)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", None),
        ("id", ""),
        ("id", 7),
        ("id", "a\0b"),
        ("id", "\ud800"),
        ("id", "x" * 256),
        ("shadow", ["s"]),
        ("group", 5),
        ("group_index", True),
        ("timelimit", [0, None]),
        ("timelimit", [float("nan"), None]),
        ("timelimit", [1]),
        ("stamped_headers", "text"),
        ("headers", []),
        ("eta", "soon"),
        ("eta", "9999-12-31T23:59:59+00:00"),
        ("expires", 5),
        ("__class__", 1),
    ],
)
def test_a_header_that_celery_cannot_use(name: str, value: Any) -> None:
    with pytest.raises(BadMessage, match=name):
        check(**{name: value})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(payload=JSON, headers=st.dictionaries(st.text(), JSON), body=st.none() | JSON)
def test_whatever_comes_is_taken_or_refused(payload: Any, headers: Any, body: Any) -> None:
    with contextlib.suppress(BadMessage):
        check_message(message(payload, headers), body)


def test_kept_options_come_back_as_they_were() -> None:
    given = {"chain": [SIGNATURE], "time_limit": 5, "expires": "x", "ignore_result": False}
    given |= {"group_index": 0}
    given |= {"stamped_headers": ["order", "gone"], "order": "a1", "countdown": 3}
    assert message_options(keep(given, "id")) == {
        "chain": [SIGNATURE],
        "time_limit": 5,
        "ignore_result": False,
        "group_index": 0,
        "stamped_headers": ["order"],
        "order": "a1",
    }
    assert keep({"countdown": 3, "link": None, "ignore_result": None}, "id") is None


def test_own_headers_of_a_message_are_kept() -> None:
    plain = {"tenant": "acme", "trace": {"ids": [1, None, 2.5]}}
    taken = {"id": "other", "eta": 5, "meth": 5, "priority": "high", "update": "x", "task": "x"}
    strange = {HINT_HEADER: True, "x-delivery-count": 1, "odd": object(), 5: "x", "text": "\ud800"}
    kept = keep({"headers": plain | taken | strange}, "id")
    assert message_options(kept) == {"headers": plain}
    # What a worker makes of a message is one that workers take.
    check_message(message([[], {}, {}], {"id": "one", **message_options(kept)["headers"]}), None)
    assert keep({"headers": taken}, "id") is None
    assert keep({"headers": "none"}, "id") is None


@pytest.mark.parametrize(("name", "there"), [("link", "callbacks"), ("link_error", "errbacks")])
def test_a_callback_has_one_id_however_often_it_is_sent(name: str, there: str) -> None:
    taken = {**SIGNATURE, "options": {"task_id": "mine"}}
    given = [SIGNATURE, SIGNATURE, taken, {**SIGNATURE, "subtask_type": "group"}]
    kept = [message_options(keep({name: given}, id_))[there] for id_ in ("a", "a", "b")]
    ids = [[it["options"].get("task_id") for it in found] for found in kept]
    assert ids[0] == ids[1]
    assert ids[0][2:] == ids[2][2:] == ["mine", None]
    assert len({*ids[0][:2], *ids[2][:2]}) == 4
    assert [it["task"] for it in kept[0]] == [SIGNATURE["task"]] * 4
    assert len(message_options(keep({name: SIGNATURE}, "a"))[there]) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"\x80",
        b"[]",
        b"{",
        b'{"chain": 5}',
        b'{"time_limit": "x"}',
        b'{"headers": [1]}',
        b'{"headers": {"id": "x"}}',
    ],
)
def test_kept_options_that_are_damaged(data: bytes) -> None:
    with pytest.raises(CodecError, match="the kept options of its Celery task can't be read"):
        message_options(data)


def test_options_must_be_a_dict() -> None:
    with pytest.raises(BadMessage, match="no dict"):
        check_options([1])


@pytest.mark.parametrize(
    ("value", "known"), [(0, 0), (255, 255), (256, None), (-1, None), ("high", None), (True, None)]
)
def test_a_priority_that_a_column_takes(value: Any, known: int | None) -> None:
    assert known_priority(value) == known


def test_a_hint_of_protocol_1_is_timed_by_the_clock_of_its_worker() -> None:
    body = {"task": "polos.flow", "id": "one", "eta": "2001-01-01T00:00:00+00:00"}
    headers = with_own_headers(body, message(body, {HINT_HEADER: True, AHEAD_HEADER: 20.0}))
    assert headers is body
    assert headers[HINT_HEADER] is True
    time_by_own_clock(headers)
    assert datetime.fromisoformat(str(body["eta"])) > datetime.now(UTC)
