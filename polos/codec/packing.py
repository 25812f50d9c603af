"""Values to plain JSON data, in one pass that copies nothing which is JSON already."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

from pydantic import BaseModel

from polos.codec.fields import keep_field
from polos.codec.hints import is_dataclass, is_enum
from polos.codec.models import pack_model
from polos.codec.refusal import MAX_DEPTH, Refused, check_depth, key_part, name_of
from polos.codec.scalars import PACK_SCALAR, TAG, Record
from polos.codec.structures import pack_dataclass, pack_enum

_Packing: TypeAlias = Callable[[Any, int], Any]

_AS_IS = frozenset({type(None), bool, str})

dump = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


class Packer:
    """Makes JSON data of values.

    Args:
        any_keys: whether a dict may have keys other than text, as a model's field can say.
    """

    def __init__(self, *, any_keys: bool) -> None:
        self._any_keys = any_keys
        self._packers: dict[type, _Packing] = {
            **PACK_SCALAR,
            list: self._list,
            dict: self._dict,
            tuple: self._tuple,
            set: self._set,
            frozenset: self._frozenset,
        }

    def pack(self, value: Any, depth: int = 0) -> Any:
        """The value as JSON data; the value itself where it is that already.

        Raises:
            Refused: something in it can't be kept.
            CodecError: it is nested too deeply.
        """
        cls: type = type(value)
        if cls in _AS_IS:
            return value
        packer = self._packers.get(cls)
        return self._object(value, depth) if packer is None else packer(value, depth)

    def attributes(
        self, cls: type, state: dict[str, Any], depth: int
    ) -> tuple[Any, dict[str, list[str]]]:
        """An object's attributes as JSON data, and those that only their field's serializer takes.

        Raises:
            Refused: one of them can't be kept in either way.
        """
        packed: dict[str, Any] = {}
        kept: dict[str, list[str]] = {}
        fields = getattr(cls, "__pydantic_fields__", ())
        for name, value in state.items():
            try:
                packed[name] = self.pack(value, depth + 1)
            except Refused as refused:
                if name not in fields:
                    refused.inside(key_part(name))
                    raise
                if not self._relaxed(packed, name, value, depth):
                    kept[name] = _kept(cls, name, value, refused)
        return _escaped(packed), kept

    def _relaxed(self, packed: dict[str, Any], name: str, value: Any, depth: int) -> bool:
        """Try a field with dicts that have other keys than text, and say whether that works."""
        if self._any_keys:
            return False
        try:
            packed[name] = KEYED.pack(value, depth + 1)
        except Refused:
            return False
        return True

    def _list(self, value: list[Any], depth: int) -> list[Any]:
        if depth > MAX_DEPTH:
            check_depth(depth)
        packers, changed = self._packers, None
        other: _Packing = self._object
        for index, item in enumerate(value):
            cls: type = type(item)
            if cls in _AS_IS:
                continue
            try:
                packed = packers.get(cls, other)(item, depth + 1)
            except Refused as refused:
                refused.inside(f"[{index}]")
                raise
            if packed is not item:
                changed = value.copy() if changed is None else changed
                changed[index] = packed
        return value if changed is None else changed

    def _dict(self, value: dict[Any, Any], depth: int) -> Any:
        if depth > MAX_DEPTH:
            check_depth(depth)
        packers, changed = self._packers, None
        other: _Packing = self._object
        for key, item in value.items():
            if type(key) is not str:
                return self._pairs(value, key, depth)
            cls: type = type(item)
            if cls in _AS_IS:
                continue
            try:
                packed = packers.get(cls, other)(item, depth + 1)
            except Refused as refused:
                refused.inside(key_part(key))
                raise
            if packed is not item:
                changed = value.copy() if changed is None else changed
                changed[key] = packed
        return _escaped(value if changed is None else changed)

    def _pairs(self, value: dict[Any, Any], key: Any, depth: int) -> Record:
        if not self._any_keys:
            raise Refused(f"dict with {name_of(type(key))} keys")
        return {TAG: "dict", "v": self._list([list(pair) for pair in value.items()], depth)}

    def _tuple(self, value: tuple[Any, ...], depth: int) -> Record:
        return {TAG: "tuple", "v": self._list(list(value), depth)}

    def _set(self, value: set[Any], depth: int) -> Record:
        return {TAG: "set", "v": self._sorted(value, depth)}

    def _frozenset(self, value: frozenset[Any], depth: int) -> Record:
        return {TAG: "frozenset", "v": self._sorted(value, depth)}

    def _sorted(self, value: set[Any] | frozenset[Any], depth: int) -> list[Any]:
        # The order within a set depends on its history; equal sets shall give equal bytes.
        return sorted(self._list(list(value), depth), key=dump)

    def _object(self, value: Any, depth: int) -> Record:
        if depth > MAX_DEPTH:
            check_depth(depth)
        cls = type(value)
        if is_enum(cls):
            return pack_enum(value, depth, self)
        if isinstance(value, BaseModel):
            return pack_model(value, depth, self)
        if is_dataclass(cls):
            return pack_dataclass(value, depth, self)
        raise Refused(name_of(cls))


def _escaped(packed: dict[str, Any]) -> Any:
    """A dict as it is, or as pairs where one of its keys would make it look tagged."""
    if TAG in packed:
        return {TAG: "dict", "v": [list(pair) for pair in packed.items()]}
    return packed


def _kept(cls: type, name: str, value: Any, refused: Refused) -> list[str]:
    """A field's value in the text of its own serializer, or the refusal raised."""
    text = keep_field(cls, name, value)
    if text is None:
        raise refused.inside(key_part(name))
    return text


STRICT = Packer(any_keys=False)
KEYED = Packer(any_keys=True)
