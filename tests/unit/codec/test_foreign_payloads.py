"""Payloads that another program has encoded are validated wherever they are read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, Field

from polos.codec import decode, decode_payload, encode, encode_payload, foreign_payload
from polos.errors import CodecError, InvalidPayload, ValueTooLarge


class Line(BaseModel):
    amount: int = Field(ge=0)


class Order(BaseModel):
    line: Line
    on: date | None = None


@dataclass
class Point:
    x: Any


@pytest.mark.parametrize(
    "payload", [None, {}, {"a": [1, (2, {3}), b"x", date(2030, 1, 1)]}, {"$": "model", "b": 1.5}]
)
def test_values_keep_their_types(payload: Any) -> None:
    assert decode(foreign_payload(encode_payload(payload))) == payload


def test_a_model_comes_back_as_itself() -> None:
    order = Order(line=Line(amount=1), on=date(2030, 1, 1))
    assert decode_payload(foreign_payload(encode_payload(order)), Order) == order


def test_what_no_validator_has_seen_is_refused() -> None:
    line = Line.model_construct(amount=-1)
    for forged in (Order.model_construct(line=line), {"line": line}, {"line": {"amount": -1}}):
        data = encode_payload(forged)
        with pytest.raises(InvalidPayload, match="amount"):
            decode_payload(foreign_payload(data), Order)


def test_what_is_in_a_dict_becomes_plain() -> None:
    data = foreign_payload(encode({"line": Line(amount=1), "points": [Point(Point((1,)))]}))
    assert decode(data) == {"line": {"amount": 1}, "points": [{"x": {"x": (1,)}}]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "[]",
        '"text"',
        '{"$":"tuple","v":[]}',
        '{"$":1}',
        '{"$":["model"]}',
        '{"a":{"$":"model"}}',
        '{"a":{"$":"dataclass","f":1}}',
        '{"a":{"$":"model","t":"m:C","f":{"b":1},"k":{"c":1}}}',
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
)
def test_what_is_no_payload_is_refused(text: str) -> None:
    with pytest.raises(CodecError):
        foreign_payload(text.encode())


FORGED = encode_payload({"line": Line.model_construct(amount=-1)}).decode()
INNER = json.dumps(json.loads(FORGED)["line"])


@pytest.mark.parametrize(
    "text",
    [
        # The tag is spelled in another way.
        FORGED.replace('"$"', '"\\u0024"'),
        # It comes out of the text of a field's own serializer, or out of extra values.
        json.dumps({"$": "model", "t": "m:C", "f": {}, "k": {"line": ["json", INNER]}}),
        json.dumps({"line": {"$": "model", "t": "m:C", "f": {}, "k": {"x": ["json", INNER]}}}),
        '{"line":{"$":"model","t":"m:C","f":{},"x":{"\\u0024":"model","t":"m:C","f":{}}}}',
        f'{{"line":{{"$":"model","t":"m:C","f":{{"root":{INNER}}},"r":true}}}}',
    ],
)
def test_a_hidden_model_is_not_made(text: str) -> None:
    with pytest.raises((CodecError, InvalidPayload)):
        decode_payload(foreign_payload(text.encode()), Order)


def test_the_size_is_limited() -> None:
    data = encode_payload({"a": "x" * 100})
    assert foreign_payload(data, len(data)) == data
    with pytest.raises(ValueTooLarge):
        foreign_payload(data, len(data) - 1)
