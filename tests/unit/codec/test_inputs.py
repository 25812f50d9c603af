"""What is kept of a step's arguments: bounded, whole JSON, and never the doing of their classes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from polos.codec import input_of


class Colour(Enum):
    RED = "red"


@dataclass
class Line:
    sku: str
    parts: list[int] = field(default_factory=list)


class Order(BaseModel):
    number: int
    lines: list[Line]


class Loud:
    def __repr__(self) -> str:
        raise AssertionError("somebody asked for its text")

    __str__ = __repr__


def shown(*args: Any, **kwargs: Any) -> Any:
    data = input_of(args, kwargs)
    return None if data is None else json.loads(data)


def test_values_are_shown_as_a_reader_expects_them() -> None:
    order = Order(number=7, lines=[Line("a", [1, 2])])
    plain = {"number": 7, "lines": [{"sku": "a", "parts": [1, 2]}]}
    assert shown(order, 1.5, None, True, colour=Colour.RED, day=date(2030, 1, 2)) == {
        "args": [plain, 1.5, None, True],
        "kwargs": {"colour": "red", "day": "2030-01-02"},
    }
    assert shown(Decimal("1.10"), UUID(int=5), {"a"}, b"xyz") == {
        "args": ["1.10", str(UUID(int=5)), ["a"], "<3 bytes>"]
    }


def test_nothing_given_is_nothing_kept() -> None:
    assert input_of((), {}) is None


def test_of_a_class_that_nothing_is_known_of_its_name_is_shown() -> None:
    assert shown(Loud(), {Loud(): 1}) == {
        "args": [f"<{__name__}.Loud>", {"<Loud>": 1}],
    }


def test_what_is_long_or_deep_is_cut_and_still_json() -> None:
    deep: Any = "end"
    for _ in range(2000):
        deep = [deep]
    circle: list[Any] = []
    circle.append(circle)
    for value in ("x" * 1_000_000, list(range(1_000_000)), deep, circle, {"k" * 9999: 1}, 10**5000):
        data = input_of((value,), {})
        assert data is not None
        assert len(data) < 20_000
        assert json.loads(data)
        assert "…" in data.decode() or "bits" in data.decode()


_any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda it: st.lists(it) | st.dictionaries(st.text(), it),
)


@given(st.lists(_any), st.dictionaries(st.text(), _any))
def test_it_never_fails_and_is_bounded(args: list[Any], kwargs: dict[str, Any]) -> None:
    data = input_of(args, kwargs)
    assert (data is None) == (not args and not kwargs)
    if data is not None:
        assert len(data) < 50_000
        json.loads(data)


def test_lone_surrogates_are_kept_readable() -> None:
    assert shown("\ud800") == {"args": ["\ud800"]}


class Lazy:
    """A stand-in for another object, as frameworks have them, which nobody may ask now."""

    def __getattribute__(self, name: str) -> Any:
        # Also for __class__, which isinstance asks for.
        raise RuntimeError(f"{name} outside of a request")


class Strict(dict[str, int]):
    def items(self) -> Any:
        raise RuntimeError("use something else")


@dataclass
class Broken:
    number: int

    def __getattribute__(self, name: str) -> Any:
        raise ValueError(name)


def test_no_value_makes_a_step_fail() -> None:
    half_made = Order.__new__(Order)
    assert shown(Lazy(), Broken(1), half_made, Strict(a=1)) == {
        "args": [f"<{__name__}.Lazy>", f"<{__name__}.Broken>", {}, {"a": 1}]
    }
