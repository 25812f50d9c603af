"""What a payload may be, at the call and in the worker."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, Field

from polos.definition.workflow import workflow
from polos.errors import InvalidPayload, ValueTooLarge

LIMIT = 10_000


class Item(BaseModel):
    price: float


class Order(BaseModel):
    id: str
    items: list[Item] = []


class Special(Order):
    colour: str = "red"


class Defaults(BaseModel):
    name: str = "World"


class Parcel(BaseModel):
    weight: float


@workflow(id="payload.takes_order")
async def takes_order(ctx: Any, payload: Order) -> None: ...


@workflow(id="payload.takes_defaults")
async def takes_defaults(ctx: Any, payload: Defaults) -> None: ...


@workflow(id="payload.takes_dict")
async def takes_dict(ctx: Any, payload: dict) -> None: ...


@workflow(id="payload.takes_optional")
async def takes_optional(ctx: Any, payload: Order | None) -> None: ...


@workflow(id="payload.takes_either")
async def takes_either(ctx: Any, payload: Order | Parcel) -> None: ...


@workflow(id="payload.has_default")
async def has_default(ctx: Any, payload: Order = Order(id="by default")) -> None: ...  # noqa: B008


@workflow(id="payload.takes_none")
async def takes_none(ctx: Any) -> None: ...


def there_and_back(wf: Any, payload: Any) -> Any:
    return wf.decode_payload(wf.encode_payload(payload, LIMIT))


@pytest.mark.parametrize(
    ("wf", "payload", "expected"),
    [
        (takes_order, Order(id="a", items=[Item(price=1)]), Order(id="a", items=[Item(price=1)])),
        (
            takes_order,
            {"id": "a", "items": [{"price": "1.5"}]},
            Order(id="a", items=[{"price": 1.5}]),
        ),
        (takes_dict, {"a": [1, None, ""]}, {"a": [1, None, ""]}),
        (takes_dict, {}, {}),
        (takes_dict, Order(id="a"), {"id": "a", "items": []}),
        (takes_optional, None, None),
        (takes_optional, Order(id="a"), Order(id="a")),
        (takes_either, Parcel(weight=0), Parcel(weight=0)),
        (takes_either, {"id": "a"}, Order(id="a")),
        (takes_defaults, None, Defaults()),
        (takes_defaults, {}, Defaults()),
        (has_default, None, Order(id="by default")),
        (takes_none, None, None),
    ],
)
def test_good_payloads(wf: Any, payload: Any, expected: Any) -> None:
    got = there_and_back(wf, payload)
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize("payload", [5, 0, "", "text", [], False, Order, (1, 2), object()])
@pytest.mark.parametrize("wf", [takes_order, takes_dict, takes_optional, takes_none])
def test_other_types_are_refused(wf: Any, payload: Any) -> None:
    with pytest.raises(TypeError, match=f"'{wf.id}'.*a Pydantic model, a dict or None"):
        wf.encode_payload(payload, LIMIT)


@pytest.mark.parametrize(
    ("wf", "payload", "text"),
    [
        (takes_order, {}, "'payload.takes_order' doesn't fit: id: Field required"),
        (takes_order, {"id": "a", "items": [{"price": "x"}]}, r"items\.0\.price"),
        (takes_order, Parcel(weight=1), "instance of Order"),
        (takes_order, None, "needs a payload.*Order"),
        (takes_dict, None, "needs a payload.*dict"),
        (takes_either, None, "needs a payload"),
        (takes_either, {"colour": 1}, "Order.id"),
    ],
)
def test_bad_payloads_name_the_field(wf: Any, payload: Any, text: str) -> None:
    with pytest.raises(InvalidPayload, match=text) as caught:
        wf.encode_payload(payload, LIMIT)
    assert isinstance(caught.value, ValueError)


def test_many_faults_are_counted() -> None:
    payload = {"id": 1, "items": [{"price": "x"}] * 5}
    with pytest.raises(InvalidPayload, match="; and 3 more$"):
        takes_order.encode_payload(payload, LIMIT)


def test_a_refused_value_is_not_shown() -> None:
    with pytest.raises(InvalidPayload) as caught:
        takes_order.encode_payload({"id": ["secret"]}, LIMIT)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("payload", [{}, {"a": 1}, Order(id="a")])
def test_a_workflow_without_payload_takes_none(payload: Any) -> None:
    with pytest.raises(TypeError, match="'payload.takes_none' takes no payload"):
        takes_none.encode_payload(payload, LIMIT)


def test_a_bad_result_annotation_is_found_before_the_start() -> None:
    @workflow
    async def hidden(ctx: Any) -> OnlyForTypeCheckers: ...  # noqa: F821

    with pytest.raises(TypeError, match="the result of workflow 'hidden'"):
        hidden.encode_payload(None, LIMIT)


def test_stored_payloads_are_validated_too() -> None:
    with pytest.raises(InvalidPayload, match="id"):
        takes_order.decode_payload(json.dumps({"no": 1}).encode())
    with pytest.raises(InvalidPayload, match="takes no payload"):
        takes_none.decode_payload(json.dumps({"a": 1}).encode())
    with pytest.raises(InvalidPayload, match="needs a payload"):
        takes_order.decode_payload(b"null")
    assert takes_defaults.decode_payload(b"null") == Defaults()


def test_a_payload_over_the_limit() -> None:
    with pytest.raises(ValueTooLarge):
        takes_dict.encode_payload({"a": "x" * LIMIT}, LIMIT)


class State(BaseModel):
    count: int = Field(ge=0)


def test_initial_states() -> None:
    @workflow(state_schema=State)
    async def counts(ctx: Any) -> None: ...

    assert counts.encode_state(None, LIMIT) is None
    assert counts.encode_state({"count": 0}, LIMIT) == counts.encode_state(State(count=0), LIMIT)
    with pytest.raises(InvalidPayload, match="the initial_state of workflow 'counts'.*count"):
        counts.encode_state({"count": -1}, LIMIT)
    assert takes_none.encode_state({}, LIMIT) is not None


@pytest.mark.parametrize("value", [0, False, "", [], {}, None, 1.5, {"a": (1, 2)}])
def test_results_of_an_unannotated_workflow(value: Any) -> None:
    @workflow
    async def anything(ctx: Any): ...

    got = anything.decode_result(anything.encode_result(value, LIMIT))
    assert got == value
    assert type(got) is type(value)


def test_a_result_becomes_an_instance_of_its_annotation() -> None:
    @workflow
    async def orders(ctx: Any) -> list[Order]: ...

    data = orders.encode_result([{"id": "a"}, Order(id="b")], LIMIT)
    assert orders.decode_result(data) == [Order(id="a"), Order(id="b")]


def test_a_result_that_does_not_fit() -> None:
    with pytest.raises((TypeError, ValueError)):
        takes_none.encode_result(5, LIMIT)
