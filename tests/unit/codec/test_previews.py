"""The beginning of stored bytes is shown as far as it goes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from polos.codec import encode, plain, previewed
from polos.codec.previews import closed
from polos.errors import CodecError


class Card(BaseModel):
    number: str
    owner: str = "Ann"


class Colour(Enum):
    RED = "red"


VALUE = {
    "text": 'quoted "x", \\ and \u1234 and \U0001f600',
    "card": Card(number="4111"),
    "parts": (1, 2.5, {3}, [None, True, {"deep": [[[]]]}]),
    "at": datetime(2030, 1, 2, tzinfo=UTC),
    "cost": Decimal("1.50"),
    "colour": Colour.RED,
    "lone": "\ud800",
    "empty": {},
}


def test_what_is_whole_is_shown_as_it_is() -> None:
    assert previewed(encode(VALUE)) == plain(VALUE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": [1, "two th', {"a": [1, "two th…"]}),
        ('{"a": 1, "b', {"a": 1}),
        ('{"a": 1, "b"', {"a": 1}),
        ('{"a": 1, "b":', {"a": 1}),
        ('{"a": 1, "b": 2', {"a": 1}),
        ('{"a": 1, "b": "x"', {"a": 1, "b": "x"}),
        ('{"a": tru', {}),
        ("[1, 2, 3", [1, 2]),
        ("[[1], [2, {", [[1], [2, {}]]),
        ('"cut \\', "cut …"),
        ('"cut \\u12', "cut …"),
        ('"cut \\\\', "cut \\…"),
        ('{"a}": "[{', {"a}": "[{…"}),
        ('{"a\\"b": 1, "c', {'a"b': 1}),
    ],
)
def test_what_is_cut_ends_where_its_last_part_does(text: str, expected: object) -> None:
    assert json.loads(closed(text)) == expected
    assert previewed(text.encode()) == expected


def test_every_beginning_of_a_value_can_be_shown() -> None:
    data = encode(VALUE)
    whole = plain(VALUE)
    for end in range(1, len(data)):
        found = previewed(data[:end])
        assert isinstance(found, dict)
        assert set(found) <= set(whole)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(_json, st.data())
def test_the_beginning_of_any_json_is_json(value: object, data: st.DataObject) -> None:
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        end = data.draw(st.integers(0, len(text)))
        found = closed(text[:end])
        if found:
            json.loads(found)
        if text[:1] in '{["' and end:
            assert found


@pytest.mark.parametrize("data", [b"", b"\xff", b"nonsense", b"{]", b"12", b"t"])
def test_what_does_not_even_begin_is_refused(data: bytes) -> None:
    if data == b"12":
        assert previewed(data) == 12
        return
    with pytest.raises(CodecError):
        previewed(data)


def test_a_tag_that_nobody_knows_shows_what_is_in_it() -> None:
    assert previewed(b'{"$": "new kind", "v": [1, {"$": "tuple", "v": [2]}]}') == [1, [2]]
    assert previewed(b'{"$": "odd", "t": "x", "other": 3}') == {"other": 3}
