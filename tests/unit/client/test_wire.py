import json
import string
from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polos import codec
from polos.client import wire
from polos.errors import CodecError
from polos.model.listing import ExecutionPage, ExecutionQuery, ExecutionSummary, Place
from polos.model.ports import StartRequest
from polos.model.records import (
    Checkpoint,
    Child,
    Execution,
    Failure,
    Kind,
    Progress,
    Tried,
    Wait,
    as_datetime,
)
from polos.model.states import Status

# What a store keeps as text; a value may also hold half of a surrogate pair.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ANY_TEXT = st.text(st.characters(), max_size=20)
MICROS = st.integers(0, 4 * 10**15)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY_TEXT | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(ANY_TEXT, inner, max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=5,
)
# What the codec wrote, and what nobody could have.
BYTES = VALUES.map(codec.encode) | st.binary(max_size=20)
FAILURES = st.builds(Failure, TEXT, TEXT, TEXT, st.integers(0, 9), TEXT, TEXT)
HISTORIES = st.lists(st.builds(Tried, MICROS, TEXT, TEXT), max_size=3).map(codec.encode_history)
TIMES = st.datetimes(timezones=st.just(UTC))


def some(strategy):
    return st.none() | strategy


EXECUTIONS = st.builds(
    Execution,
    id=TEXT,
    workflow_id=TEXT,
    project_id=TEXT,
    status=st.sampled_from(Status),
    payload=BYTES,
    created_at=MICROS,
    result=some(BYTES),
    failure=some(FAILURES),
    queue=some(TEXT),
    priority=some(st.integers(0, 9)),
    session_id=some(TEXT),
    initial_state=some(BYTES),
    celery_options=some(BYTES),
    known_to_celery=st.booleans(),
    claims=st.integers(0, 9),
    wake_at=some(MICROS),
    run_timeout=some(MICROS),
    forked_from=some(TEXT),
)
CHECKPOINTS = st.builds(
    Checkpoint,
    step_key=TEXT,
    kind=st.sampled_from(Kind),
    turn=st.integers(0, 9),
    value=some(BYTES),
    failure=some(FAILURES),
    started_at=some(MICROS),
    history=HISTORIES,
    input=some(BYTES),
)
WAITS = st.builds(
    Wait,
    step_key=TEXT,
    kind=st.sampled_from(Kind),
    due_at=some(MICROS),
    target_id=some(TEXT),
    failure=some(FAILURES),
    history=HISTORIES,
    input=some(BYTES),
)
CHILDREN = st.builds(
    Child, TEXT, TEXT, st.sampled_from(Status), TEXT, MICROS, some(MICROS), some(MICROS)
)


def tuples(strategy):
    return st.lists(strategy, max_size=3).map(tuple)


PROGRESS = st.builds(
    Progress,
    tuples(CHECKPOINTS),
    tuples(WAITS),
    tuples(CHILDREN),
    tuples(TEXT),
    executing=tuples(TEXT),
    worker=some(TEXT),
)
SUMMARIES = st.builds(
    ExecutionSummary,
    id=TEXT,
    workflow_id=TEXT,
    status=st.sampled_from(Status),
    created_at=TIMES,
    started_at=some(TIMES),
    session_id=some(TEXT),
    tags=tuples(TEXT),
)
PAGES = st.builds(ExecutionPage, tuples(SUMMARIES), some(TEXT))
REQUESTS = st.builds(
    StartRequest,
    workflow_id=TEXT,
    payload=BYTES,
    queue=some(TEXT),
    priority=some(st.integers(0, 9)),
    concurrency_key=some(TEXT),
    session_id=some(TEXT),
    user_id=some(TEXT),
    idempotency_key=some(TEXT),
    execution_id=some(TEXT),
    initial_state=some(BYTES),
    run_timeout_seconds=some(st.floats(0.001, 1e6)),
    delay_seconds=st.floats(0, 1e6),
    awaited=st.booleans(),
    declared=st.booleans(),
    tags=tuples(TEXT),
    deployment_id=some(TEXT),
)


def sent(data):
    """What arrives at the other side."""
    return wire.load(wire.dump(data))


@given(BYTES)
def test_bytes_arrive_as_they_were(data):
    assert wire.bytes_of(sent(wire.text_of(data))) == data


@given(VALUES)
def test_a_value_of_the_codec_arrives_equal(value):
    assert codec.decode(wire.bytes_of(sent(wire.text_of(codec.encode(value))))) == value


@given(EXECUTIONS)
def test_an_execution_arrives_equal(execution):
    assert wire.execution_of(sent(wire.to_json(execution))) == execution


@given(PROGRESS)
def test_progress_arrives_equal(progress):
    assert wire.progress_of(sent(wire.to_json(progress))) == progress


@given(PAGES)
def test_a_page_arrives_equal(page):
    found = wire.page_of(sent(wire.to_json(page)))
    assert found == page
    assert all(item.created_at.tzinfo is not None for item in found.items)


@given(SUMMARIES)
def test_a_summary_goes_as_its_own_plain_data(summary):
    assert wire.to_json(summary) == summary.to_dict()


@given(REQUESTS)
def test_a_start_arrives_equal(request):
    body = sent(wire.start_json(request))
    payload = wire.encoded_of(body, "payload")
    state = wire.encoded_of(body, "initial_state")
    assert wire.start_request(body, payload, state) == request


def test_every_field_of_a_start_is_sent_or_of_this_process_alone():
    own = {"connection", "celery_options", "known_to_celery", "dispatch", "start_within_seconds"}
    sent_fields = {*wire._START, *wire._ENCODED}
    assert {field.name for field in fields(StartRequest)} == sent_fields | own


def test_a_start_says_only_what_it_was_given():
    body = wire.start_json(StartRequest("greet", b"{}"))
    assert body == {"workflow_id": "greet", "encoded_payload": "{}"}


def test_half_characters_side_by_side_do_not_become_one():
    data = codec.encode("\ud83d" + "\ude00")
    found = wire.bytes_of(sent(wire.text_of(data)))
    assert found == data
    assert len(codec.decode(found)) == 2


def test_no_text_of_the_codec_looks_like_bytes_that_are_no_text():
    assert all(codec.encode(value)[:1] != b"b" for value in (None, True, 0, "base64:", [], {}))


def test_what_a_newer_side_says_is_left_out_and_what_an_older_one_does_not_say_is_a_default():
    data = wire.to_json(execution := _execution())
    newer = data | {"later": [1]}
    older = {name: data[name] for name in data if name not in ("retried", "forked_from")}
    assert wire.execution_of(newer) == wire.execution_of(older) == execution


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        "text",
        {},
        {"id": "x"},
        {"status": "lost"},
        {"payload": "base64:€"},
        {"payload": 7},
        {"failure": 7},
        {"failure": {"later": 1}},
    ],
)
def test_what_is_no_execution_is_an_error_that_says_so(wrong):
    data = wire.to_json(_execution()) | wrong if isinstance(wrong, dict) and len(wrong) else wrong
    if wrong == {"id": "x"}:
        data = wrong
    with pytest.raises(CodecError, match="this is no (Execution|Failure)"):
        wire.execution_of(data)


def test_json_is_ascii_and_nested_too_deeply_is_a_value_error():
    assert wire.dump({"a": "ü\ud800"}) == b'{"a":"\\u00fc\\ud800"}'
    with pytest.raises(ValueError):
        wire.load(b"[" * 200_000)
    with pytest.raises(ValueError):
        wire.load(b"\xff")


def test_a_query_as_parameters_of_a_url():
    query = ExecutionQuery(
        "greet",
        (Status.FAILED, Status.QUEUED),
        created_after=1_000_000,
        after=Place(5, "ä"),
        limit=7,
    )
    assert wire.query_items(query) == [
        ("workflow_id", "greet"),
        ("status", "failed"),
        ("status", "queued"),
        ("created_after", "1970-01-01T00:00:01+00:00"),
        ("cursor", Place(5, "ä").to_cursor()),
        ("limit", "7"),
    ]
    assert wire.query_items(ExecutionQuery()) == [("limit", "50")]


@given(MICROS)
def test_times_keep_their_microseconds(moment):
    [(_, text), _] = wire.query_items(ExecutionQuery(created_before=moment))
    assert datetime.fromisoformat(text) == as_datetime(moment)


def test_moments_that_not_every_reader_knows_become_others_that_mean_the_same():
    for moment, year in ((-(10**16), 1970), (10**18, 9000)):
        [(_, text), _] = wire.query_items(ExecutionQuery(created_after=moment))
        assert datetime.fromisoformat(text).year == year


@given(TEXT)
def test_a_project_of_any_name_fits_into_a_header(name):
    text = wire.project_text(name)
    assert text.isascii()
    assert text.isprintable()
    assert wire.project_of(text) == name


def _execution():
    failure = Failure("no", "ValueError", "step", 2)
    made = Execution("e1", "greet", "shop", Status.FAILED, b'{"a":1}', 5, failure=failure)
    return replace(made, result=b"1")


def test_what_is_sent_of_an_execution_is_readable():
    data = sent(wire.to_json(_execution()))
    assert data["payload"] == '{"a":1}'
    assert data["status"] == "failed"
    assert data["failure"] == json.loads(codec.encode_failure(_execution().failure))
    assert set(string.printable) >= set(wire.dump(data).decode())
