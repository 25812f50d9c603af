"""Dataclasses and enum members as tagged JSON objects and back, past their constructors."""

from __future__ import annotations

import dataclasses
import json
from enum import Enum, Flag
from functools import cached_property, lru_cache
from typing import Any

from polos.codec.classes import full_name
from polos.codec.fields import load_field
from polos.codec.packer import Pack
from polos.codec.refusal import Refused, name_of
from polos.codec.scalars import TAG, Record
from polos.errors import CodecError

_MISSING: Any = dataclasses.MISSING
# What typing leaves on an instance of a generic dataclass is no part of its value.
_NOT_STATE = frozenset({"__orig_class__", "__weakref__", "__dict__"})


def pack_enum(member: Enum, depth: int, pack: Pack) -> Record:
    """An enum member by its name, and by its value where that can be kept."""
    record: Record = {TAG: "enum", "t": full_name(type(member)), "n": member.name}
    try:
        record["v"] = pack.pack(member.value, depth)
    except Refused:
        if isinstance(member, Flag):
            raise
    return record


def restore_enum(record: Record, cls: Any) -> Enum:
    """The member of a record: the one with that name, else the one with that value.

    Raises:
        CodecError: the class has neither.
    """
    name = record["n"]
    member: Enum | None = None if issubclass(cls, Flag) else cls.__members__.get(name)
    if member is not None:
        return member
    try:
        found: Enum = cls(record["v"])
    except (KeyError, ValueError):
        raise CodecError(f"{cls.__qualname__} has no member {name!r} any more") from None
    return found


def plain_enum(record: Record) -> Any:
    """The value of a member whose class is not known; its name where the value was not kept."""
    return record.get("v", record["n"])


def pack_dataclass(value: Any, depth: int, pack: Pack) -> Record:
    """A dataclass instance with its fields and whatever else was set on it.

    Raises:
        Refused: something in it can't be kept, or it also is a list, an exception or the like.
    """
    cls: Any = type(value)
    if not _is_plain_object(cls):
        raise Refused(name_of(cls))
    record: Record = {TAG: "dataclass", "t": full_name(cls)}
    state = _state(value)
    record["f"], kept = pack.attributes(cls, state, depth)
    if kept:
        record["k"] = kept
    if absent := [f.name for f in dataclasses.fields(cls) if f.name not in state]:
        record["a"] = absent
    return record


@lru_cache(maxsize=1024)
def _is_plain_object(cls: type) -> bool:
    try:
        object.__new__(cls)
    except TypeError:  # its memory belongs to another builtin type
        return False
    return True


def _state(value: Any) -> dict[str, Any]:
    """All that is set on an instance, in the order of the fields."""
    cls: Any = type(value)
    own = getattr(value, "__dict__", {})
    state = {}
    for name in (*_slots_and_fields(cls), *own):
        if name in own:
            state[name] = own[name]
        # A property among the fields keeps its value elsewhere on the instance.
        elif hasattr(value, name) and not isinstance(getattr(cls, name, None), property):
            state[name] = getattr(value, name)
    return {
        name: content
        for name, content in state.items()
        if name not in _NOT_STATE and not isinstance(getattr(cls, name, None), cached_property)
    }


@lru_cache(maxsize=1024)
def _slots_and_fields(cls: Any) -> tuple[str, ...]:
    names = {field.name: None for field in dataclasses.fields(cls)}
    for base in cls.__mro__:
        names.update(dict.fromkeys(_slots(base)))
    return tuple(names)


def restore_dataclass(record: Record, cls: Any) -> Any:
    """The instance of a record, made without ``__init__`` and ``__post_init__``.

    Raises:
        CodecError: a field that the class demands is not in the record.
    """
    state = dict(record["f"])
    for name, kept in record.get("k", {}).items():
        state[name] = load_field(cls, name, kept)
    for field in dataclasses.fields(cls):
        if field.name not in state and field.name not in record.get("a", ()):
            _fill(cls, field, state)
    value = object.__new__(cls)
    own = getattr(value, "__dict__", None)
    for name, content in state.items():
        if own is None or name in _slot_names(cls):
            object.__setattr__(value, name, content)
        else:
            own[name] = content
    return value


@lru_cache(maxsize=1024)
def _slot_names(cls: Any) -> frozenset[str]:
    return frozenset(name for base in cls.__mro__ for name in _slots(base))


def _slots(cls: type) -> tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else slots
    return tuple(_mangled(cls, name) for name in names)


def _mangled(cls: type, name: str) -> str:
    if name.startswith("__") and not name.endswith("__"):
        return f"_{cls.__name__.lstrip('_')}{name}"
    return name


def _fill(cls: Any, field: dataclasses.Field[Any], state: dict[str, Any]) -> None:
    """Give a field that the class has got since then its default."""
    if field.default is not _MISSING:
        state[field.name] = field.default
    elif (factory := _factory(field)) is not _MISSING:
        state[field.name] = factory()
    elif field.init:
        raise CodecError(
            f"a kept {cls.__qualname__} has no value for its field {field.name!r}; "
            "give the field a default"
        )


def _factory(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory


def plain_dataclass(record: Record) -> dict[str, Any]:
    """The fields of a record whose class is not known, as a dict."""
    kept = {name: json.loads(text) for name, (_, text) in record.get("k", {}).items()}
    return {**record["f"], **kept}
