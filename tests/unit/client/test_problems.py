import pytest
from hypothesis import given
from hypothesis import strategies as st

import polos
from polos import errors
from polos.client import wire
from polos.client.problems import error_of, problem_members

URL = "http://localhost:8080"
EVERY = [
    errors.PolosError("text"),
    errors.PolosError(),
    errors.StepExecutionError("no", "charge", 3, "ValueError"),
    errors.WorkflowFailedError("no", "e1", "KeyError"),
    errors.ExecutionTimedOut("it took too long", "e1"),
    errors.WorkflowTimeoutError("e1", 1.5, "away"),
    errors.ExecutionCancelledError("e1"),
    errors.ExecutionNotFound("e1"),
    errors.ExecutionExists("e1"),
    errors.IllegalTransition("e1", "queued", "retry", "wait"),
    errors.StepNotFound("e1", "charge", ("a", "b")),
    errors.WorkflowNotFound("gone", ("a", "b")),
    errors.DuplicateStepKey("charge"),
    errors.StepMismatch("charge", "step", "wait"),
    errors.InvalidPayload("name: Field required"),
    errors.ConfigurationError("set something"),
    errors.CodecError("it is damaged"),
    errors.UnsupportedType("socket.socket", "$.a"),
    errors.UnknownType("shop.Gone"),
    errors.ValueTooLarge(5_000_000, 4_194_304),
    errors.ServerError(URL, 500, "broken"),
    errors.RequestRefused(URL, 422, "no"),
    errors.AccessDenied(URL, 401, "no key"),
    errors.StoreError("broken"),
    errors.StoreUnavailable("postgresql://db/x", "refused", True),
    errors.ServerUnavailable(URL, "refused"),
    errors.StoreDenied("postgresql://db/x", "permission denied"),
    errors.SchemaError("postgresql://db/x", None, "0006"),
    errors.LeaseLost("e1"),
]


def sent(error, status=400):
    problem = wire.load(wire.dump(problem_members(error)))
    return error_of(problem, status, URL)


def assert_same(found, error):
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert found.args == error.args
    assert vars(found) == vars(error)


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_an_error_arrives_as_it_was(error):
    assert_same(sent(error), error)


def test_these_are_all_errors():
    known = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.PolosError)
    }
    assert known == {type(error) for error in EVERY}
    public = {getattr(polos, name) for name in polos.__all__}
    assert {it for it in public if isinstance(it, type) and issubclass(it, Exception)} <= known


@given(st.text(), st.text(), st.integers(0, 99), st.text())
def test_texts_arrive_as_they_were(reason, key, attempts, kind):
    error = errors.StepExecutionError(reason, key, attempts, kind)
    assert_same(sent(error), error)


def test_a_class_that_no_client_has_arrives_as_the_nearest_one_that_it_has():
    class Special(errors.InvalidPayload):
        pass

    assert_same(sent(Special("no")), errors.InvalidPayload("no"))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.RequestRefused),
        (401, errors.AccessDenied),
        (403, errors.AccessDenied),
        (404, errors.RequestRefused),
        (413, errors.RequestRefused),
        (422, errors.RequestRefused),
        (429, errors.ServerUnavailable),
        (500, errors.ServerError),
        (502, errors.ServerUnavailable),
        (503, errors.ServerUnavailable),
        (301, errors.ServerError),
    ],
)
@pytest.mark.parametrize(
    "problem",
    [
        {"code": "Later", "detail": "because", "arguments": {"a": 1}},
        {"code": "ExecutionNotFound", "detail": "because"},
        {"code": "ExecutionNotFound", "detail": "because", "arguments": {"later": 1}},
        {"code": "InvalidPayload", "detail": "because", "arguments": {"args": None}},
        {"code": ["x"], "detail": "because", "arguments": []},
        {"code": "Later", "title": "because"},
    ],
)
def test_what_is_not_known_becomes_what_its_status_says(status, kind, problem):
    error = error_of(problem, status, URL)
    assert type(error) is kind
    assert "because" in str(error)
    assert URL in str(error)


def test_a_long_answer_is_cut():
    error = error_of({"detail": "x" * 100_000}, 500, URL)
    assert len(str(error)) < 1_000
    assert "gave no reason" in str(error_of({}, 500, URL))


def test_what_is_no_answer_of_a_polos_server_says_where_to_look():
    error = error_of({"detail": "because"}, 404, URL)
    assert type(error) is errors.ServerError
    assert "is the address of a Polos server" in str(error)
    assert type(error_of({"detail": "because"}, 403, URL)) is errors.AccessDenied
    assert type(error_of({"detail": "because"}, 502, URL)) is errors.ServerUnavailable
