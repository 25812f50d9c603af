"""Starting workflows through the API."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from polos import codec
from polos.codec.scalars import TAG
from tests.server.api import Api
from tests.server.flows import Order

ORDERS = "/workflows/api_order/executions"
ANYTHING = "/workflows/api_anything/executions"


def encoded(payload: Any) -> str:
    return codec.encode_payload(payload).decode()


def test_a_start_gives_the_execution_and_where_it_is(api: Api) -> None:
    answer = api.http.post(ORDERS, json={"payload": {"id": "a1"}})
    assert answer.status_code == 201
    started = answer.json()
    assert (started["workflow_id"], started["payload"]["id"]) == ("api_order", "a1")
    assert answer.headers["Location"] == f"/api/polos/executions/{started['id']}"
    assert api.ended(started["id"])["result"] == {"text": "for a1"}


def test_what_is_left_out_is_as_the_workflow_declares_it(api: Api) -> None:
    declared = api.start("api_order", {"id": "a"})
    assert (declared["queue"], declared["priority"]) == ("orders", 3)
    assert declared["deadline_at"] is not None
    assert declared["payload"] == {"id": "a", "price": 1.0}
    given = api.start("api_order", {"id": "a"}, queue="other", priority=0)
    assert (given["queue"], given["priority"]) == ("other", 0)


def test_what_does_not_fit_is_told_by_its_place(api: Api) -> None:
    body = {"payload": {"price": -1}}
    refused = api.http.post(ORDERS, json=body).json()
    told = {tuple(error["loc"]): error["msg"] for error in refused["errors"]}
    assert told.keys() == {("payload", "id"), ("payload", "price")}
    assert told["payload", "id"] == "Field required"
    refused = api.http.post(ORDERS, json={"payload": {"id": "a"}, "tags": [""]}).json()
    assert [error["loc"] for error in refused["errors"]] == [["tags", 0]]


def test_all_that_a_start_can_say_is_kept(api: Api) -> None:
    id_ = f"own {uuid4()}/ä"
    labels = {"session_id": "s", "user_id": "", "deployment_id": "d"}
    started = api.start(
        "api_anything",
        {"a": [1, None, "\0"]},
        execution_id=id_,
        tags=["eu", "eu", "b"],
        initial_state={"n": 1},
        delay_seconds=3600,
        concurrency_key="one",
        run_timeout_seconds=7200.5,
        **labels,
    )
    assert started["id"] == id_
    found = api.http.get(f"/executions/{quote(id_, safe='')}").json()
    assert {name: found[name] for name in labels} == labels
    assert (found["tags"], found["payload"]) == (["b", "eu"], {"a": [1, None, "\0"]})
    assert found["wake_at"] > found["created_at"]
    stored = api.polos.get(id_)
    assert stored.initial_state == b'{"n":1}'
    assert stored.run_timeout == 7_200_500_000


def test_a_taken_idempotency_key_gives_the_execution_that_has_it(api: Api) -> None:
    body = {"payload": {"id": "a"}, "idempotency_key": f"key {uuid4()}"}
    first, second = api.http.post(ORDERS, json=body), api.http.post(ORDERS, json=body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["id"] == first.json()["id"]
    assert second.headers["Location"] == first.headers["Location"]


def test_a_start_that_is_repeated_with_its_id_gives_what_the_first_has_started(api: Api) -> None:
    body = {"payload": {"id": "a"}, "execution_id": str(uuid4())}
    first, second = api.http.post(ORDERS, json=body), api.http.post(ORDERS, json=body)
    assert (first.status_code, second.status_code) == (201, 200)
    other = api.http.post(ORDERS, json={**body, "payload": {"id": "b"}})
    assert other.status_code == 409
    assert other.json()["code"] == "ExecutionExists"
    assert other.json()["arguments"] == {"execution_id": body["execution_id"]}


def test_an_encoded_payload_keeps_its_types(api: Api) -> None:
    text = encoded({"pair": (1, 2)})
    started = api.http.post(ANYTHING, json={"encoded_payload": text}).json()
    assert codec.decode(api.polos.get(started["id"]).payload) == {"pair": (1, 2)}
    order = api.http.post(ORDERS, json={"encoded_payload": encoded(Order(id="e"))}).json()
    assert api.ended(order["id"])["result"] == {"text": "for e"}


def test_an_encoded_model_is_validated_all_the_same(api: Api) -> None:
    free = Order.model_construct(id="free", price=-1.0)
    refused = api.http.post(ORDERS, json={"encoded_payload": encoded(free)})
    assert (refused.status_code, refused.json()["code"]) == (422, "InvalidPayload")
    nested = json.dumps({"id": {TAG: "model", "t": "x:Order", "f": {}}})
    refused = api.http.post(ORDERS, json={"encoded_payload": nested})
    assert refused.status_code == 422, refused.text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        '"text"',
        "base64:!",
        '{"$":"tuple","v":[1]}',
        '{"$":["a"]}',
        '{"a":{"$":"model"}}',
        '{"a":{"$":"model","t":"x:Y","f":{"$":"tuple"}}}',
        "[" * 100_000,
    ],
)
def test_a_bad_encoding_is_refused(lite: Api, text: str) -> None:
    answer = lite.http.post(ANYTHING, json={"encoded_payload": text})
    assert answer.status_code == 422, answer.text
    state = lite.http.post(ANYTHING, json={"payload": {}, "encoded_initial_state": "{" + text})
    assert state.status_code == 422, state.text


@pytest.mark.parametrize(
    ("workflow_id", "payload"),
    [
        ("api_order", {}),
        ("api_order", {"id": 1}),
        ("api_order", None),
        ("api_fails", {"a": 1}),
        ("api_anything", None),
    ],
)
def test_a_payload_that_does_not_fit_starts_nothing(
    lite: Api, workflow_id: str, payload: Any
) -> None:
    before = _newest(lite)
    answer = lite.http.post(f"/workflows/{workflow_id}/executions", json={"payload": payload})
    assert (answer.status_code, answer.json()["code"]) == (422, "InvalidPayload")
    assert _newest(lite) == before


def test_an_unknown_workflow_is_named_with_those_that_are_known(lite: Api) -> None:
    answer = lite.http.post("/workflows/nothing/executions", json={})
    assert (answer.status_code, answer.json()["code"]) == (404, "WorkflowNotFound")
    assert "api_order" in answer.json()["arguments"]["known"]


def test_a_workflow_whose_code_is_elsewhere_takes_the_payload_as_it_is(lite: Api) -> None:
    started = lite.start("api_elsewhere", {"a": 1}, declared=True)
    assert (started["payload"], started["queue"]) == ({"a": 1}, None)
    text = encoded(Order(id="e"))
    body = {"encoded_payload": text, "declared": True}
    started = lite.http.post("/workflows/api_elsewhere/executions", json=body).json()
    stored = json.loads(lite.polos.get(started["id"]).payload)
    assert stored == {name: it for name, it in json.loads(text).items() if name != "h"}


@pytest.mark.parametrize(
    "body",
    [
        {"unknown": 1},
        {"payload": [1]},
        {"payload": {}, "encoded_payload": "{}"},
        {"payload": {}, "initial_state": 1, "encoded_initial_state": "1"},
        {"payload": {}, "workflow_id": "another"},
        {"queue": ""},
        {"queue": 1},
        {"user_id": "a\0b"},
        {"user_id": "x" * 256},
        {"execution_id": "x" * 256},
        {"execution_id": "half \ud800"},
        {"priority": -1},
        {"priority": 256},
        {"priority": True},
        {"priority": "3"},
        {"delay_seconds": -1},
        {"delay_seconds": 1e300},
        {"run_timeout_seconds": 0},
        {"run_timeout_seconds": 1e300},
        {"tags": ["x"] * 33},
        {"tags": [""]},
        {"tags": "x"},
        [],
        "text",
        None,
    ],
)
def test_a_body_that_does_not_fit_is_refused(lite: Api, body: Any) -> None:
    # Not by httpx, which would not send half of a surrogate pair.
    sent = json.dumps(body).encode("ascii")
    answer = lite.http.post(ANYTHING, content=sent, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "InvalidRequest"), answer.text


def test_many_are_started_or_none(api: Api) -> None:
    good = {"workflow_id": "api_order", "payload": {"id": "m"}, "tags": ["many"]}
    answer = api.http.post("/executions", json={"items": [good, {**good, "user_id": "u"}]})
    assert answer.status_code == 201
    started = answer.json()["items"]
    assert [it["user_id"] for it in started] == [None, "u"]
    assert all(api.ended(it["id"])["status"] == "completed" for it in started)
    before = _newest(api)
    for bad, status in (({"payload": {}}, 422), ({"workflow_id": "nothing"}, 404)):
        answer = api.http.post("/executions", json={"items": [good, {**good, **bad}]})
        assert answer.status_code == status
        assert status == 404 or "input 1 of the batch" in answer.json()["detail"]
    assert _newest(api) == before


def test_a_value_over_the_limit_is_too_large(lite: Api) -> None:
    limit = lite.polos.max_value_bytes
    answer = lite.http.post(ANYTHING, json={"payload": {"a": "x" * limit}})
    assert (answer.status_code, answer.json()["code"]) == (413, "ValueTooLarge")
    assert answer.json()["arguments"]["limit"] == limit
    fits = lite.http.post(ANYTHING, json={"payload": {"a": "x" * (limit - 10)}})
    assert fits.status_code == 201
    # In a body its quotes take twice their size.
    quotes = codec.encode_payload({"a": '"' * (limit // 2 - 10)}).decode()
    assert lite.http.post(ANYTHING, json={"encoded_payload": quotes}).status_code == 201


def _newest(api: Api) -> str:
    found: str = api.http.get("/executions", params={"limit": 1}).text
    return found
