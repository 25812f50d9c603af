"""Values of every type that can be kept, and how two of them are compared."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic_core import TzInfo

from tests.unit.codec import shapes

_TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
_KEYS = st.one_of(st.sampled_from(["$", "v", "t", "f", "", "a b"]), _TEXT)

_OFFSETS = st.builds(
    lambda seconds, micros: dt.timedelta(seconds=seconds, microseconds=micros),
    st.integers(-86_000, 86_000),
    st.sampled_from([0, 1]),
)
_ZONES = st.one_of(
    st.none(),
    st.just(dt.UTC),
    st.builds(dt.timezone, _OFFSETS),
    st.builds(dt.timezone, _OFFSETS, st.sampled_from(["CET", "", "x y"])),
    st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Asia/Kathmandu"]).map(ZoneInfo),
    st.sampled_from([0, 3600, -7200]).map(TzInfo),
)


def _zoned(made: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda value, zone, fold: value.replace(tzinfo=zone, fold=fold),
        made,
        _ZONES,
        st.sampled_from([0, 1]),
    )


_MEMBERS = st.one_of(
    *map(st.sampled_from, (shapes.Colour, shapes.Size, shapes.Mood, shapes.Opaque)),
    st.sampled_from([shapes.Right(n) for n in range(4)] + [shapes.Bits(n) for n in range(9)]),
)


def scalars() -> st.SearchStrategy[Any]:
    """Values that hold no others."""
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([63, 64, 2_000, 4_000]).map(lambda bits: -(2**bits)),
        st.floats(),
        st.sampled_from([-0.0, math.inf, -math.inf, math.nan, 5e-324]),
        _TEXT,
        st.sampled_from(["\0", "\ud800", "\udc00", "\ud83d\ude00", "😀", "\ufeffx", "$"]),
        st.binary(max_size=8),
        _zoned(st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1))),
        st.sampled_from([dt.datetime.min, dt.datetime.max, dt.timedelta.min, dt.timedelta.max]),
        st.dates(),
        _zoned(st.times()),
        st.timedeltas(),
        st.decimals(),
        st.sampled_from([Decimal("-0"), Decimal("1.10"), Decimal("1E+99"), Decimal("NaN123")]),
        st.uuids(),
        _MEMBERS,
    )


def hashables() -> st.SearchStrategy[Any]:
    """Values that a set can hold."""
    return st.recursive(
        scalars().filter(_is_hashable),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(tuple),
            st.frozensets(inner, max_size=3),
            st.builds(shapes.Frozen, inner, inner),
            st.builds(shapes.FrozenSlotted, inner, inner, inner),
            st.builds(shapes.Derived, name=_TEXT, level=st.integers()),
        ),
        max_leaves=6,
    )


def _is_hashable(value: Any) -> bool:
    return not (isinstance(value, Decimal) and value.is_snan())


def _models(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    named = st.one_of(st.builds(shapes.Base, name=_TEXT), st.builds(shapes.Derived, name=_TEXT))
    extra = st.dictionaries(st.sampled_from(["$", "x", "a b"]), inner, max_size=2)
    return st.one_of(
        st.builds(_anything, inner, named, extra, inner),
        st.builds(shapes.Order, id=st.uuids(), total=st.decimals(allow_nan=False,
                  allow_infinity=False),
                  at=st.datetimes(), sizes=st.dictionaries(st.sampled_from(shapes.Size),
                  st.integers()), by_number=st.dictionaries(st.integers(), st.lists(named,
                  max_size=2), max_size=2), Label=_TEXT),
        st.builds(shapes.Numbers, st.lists(st.integers())),
        st.builds(_sealed, inner),
        st.builds(shapes.Box[int], item=st.integers()),
        st.builds(shapes.Box[list[shapes.Base] | None], item=st.lists(named, max_size=2)),
        st.builds(shapes.Box[shapes.Box[str]], item=st.builds(shapes.Box[str], item=_TEXT)),
        st.builds(shapes.Box[Any], item=inner),
        st.builds(shapes.Box, item=inner),
    )  # fmt: skip


def _anything(value: Any, base: Any, extra: dict[str, Any], hidden: Any) -> shapes.Anything:
    model = shapes.Anything(value=value, base=base, **extra)
    model._hidden = hidden
    return model


def _sealed(seal: Any) -> shapes.Sealed:
    model = shapes.Sealed(1)
    model._seal = seal
    return model


def values() -> st.SearchStrategy[Any]:
    """Values of every type that can be kept, nested in one another."""
    return st.recursive(
        st.one_of(scalars(), st.sets(hashables(), max_size=3), hashables()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(_KEYS, inner, max_size=4),
            st.lists(inner, max_size=3).map(tuple),
            st.builds(shapes.Point, inner, inner),
            st.builds(shapes.Slotted, inner, inner),
            st.builds(shapes.Pair, inner, inner),
            _models(inner),
        ),
        max_leaves=12,
    )


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of identical types at every depth."""
    if type(one) is not type(other):
        return False
    if isinstance(one, enum.Enum):
        return one is other
    if isinstance(one, BaseModel):
        return same(_state(one), _state(other)) and list(vars(one)) == list(vars(other))
    if dataclasses.is_dataclass(one):
        return all(
            same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one)
        )
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, set | frozenset):
        return len(one) == len(other) and all(any(same(a, b) for b in other) for a in one)
    if isinstance(one, float | Decimal):
        return repr(one) == repr(other)
    if isinstance(one, dt.datetime | dt.time):
        return _clock(one) == _clock(other)
    return bool(one == other)


def _state(model: BaseModel) -> list[Any]:
    fields = {n: v for n, v in vars(model).items() if n in type(model).model_fields}
    private = model.__pydantic_private__
    return [fields, model.model_fields_set, model.__pydantic_extra__, private]


def _clock(value: dt.datetime | dt.time) -> tuple[Any, ...]:
    zone = value.tzinfo
    key = getattr(zone, "key", None)
    plain = value.replace(tzinfo=None)
    return plain, value.fold, type(zone), key, zone and zone.utcoffset(None), str(zone)
