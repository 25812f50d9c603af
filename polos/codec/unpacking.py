"""JSON data back to values, innermost first, while the JSON is parsed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

from polos.codec.classes import Types
from polos.codec.hints import is_dataclass, is_enum, is_model
from polos.codec.models import plain_model, restore_model
from polos.codec.scalars import TAG, UNPACK_SCALAR, Record
from polos.codec.structures import (
    plain_dataclass,
    plain_enum,
    restore_dataclass,
    restore_enum,
)
from polos.errors import CodecError

_TAG_TEXT = f'"{TAG}"'
_DAMAGE = (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError)

_plain = json.JSONDecoder()


def parse(data: bytes, hook: Callable[[], Callable[[Record], Any]] | None = None) -> Any:
    """The JSON of the bytes, each object of it replaced by what the hook makes of it.

    Args:
        data: the bytes.
        hook: gives that hook, where anything in the bytes may be other than plain JSON.

    Raises:
        CodecError: the data is damaged.
    """
    try:
        text = bytes(data).decode("utf-8", "surrogatepass")
        if hook is None or _TAG_TEXT not in text:
            return _plain.decode(text)
        return json.JSONDecoder(object_hook=hook()).decode(text)
    except RecursionError:
        raise CodecError("the kept value is nested too deeply to be read") from None
    except (TypeError, ValueError) as error:
        if isinstance(error, CodecError):
            raise
        raise CodecError(f"the kept value is damaged: {error}") from error


class Unpacker:
    """Makes values of tagged JSON objects.

    Args:
        types: the classes that may be made.
        lenient: whether to give plain data where a class is not known.
    """

    def __init__(self, types: Types, *, lenient: bool) -> None:
        self._types = types
        self._lenient = lenient

    def unpack(self, record: Record) -> Any:
        """The value of a JSON object, which has been done for all that is in it.

        Raises:
            UnknownType: it names a class that is not known.
            CodecError: it is damaged.
        """
        if TAG not in record:
            return record
        try:
            return self._tagged(record[TAG], record)
        except CodecError:
            raise
        except ZoneInfoNotFoundError as error:
            raise CodecError(
                f"a kept time names a zone that is not known here: {error}; install tzdata"
            ) from error
        except _DAMAGE as error:
            raise CodecError(f"a kept {record[TAG]} is damaged: {error!r}") from error

    def _tagged(self, tag: Any, record: Record) -> Any:
        if scalar := UNPACK_SCALAR.get(tag):
            return scalar(record)
        match tag:
            case "tuple":
                return tuple(record["v"])
            case "dict":
                return dict(self._hashable(list, record["v"]))
            case "set" | "frozenset":
                return self._hashable(set if tag == "set" else frozenset, record["v"])
            case "model":
                return self._made(record, is_model, restore_model, plain_model)
            case "dataclass":
                return self._made(record, is_dataclass, restore_dataclass, plain_dataclass)
            case "enum":
                return self._made(record, is_enum, restore_enum, plain_enum)
        raise CodecError(f"the kept value has a part of the unknown kind {tag!r}")

    def _made(
        self,
        record: Record,
        kind: Callable[[Any], bool],
        restore: Callable[[Record, Any], Any],
        plain: Callable[[Record], Any],
    ) -> Any:
        try:
            return restore(record, self._types.find(record["t"], kind))
        except CodecError:
            if not self._lenient:
                raise
        return plain(record)

    def _hashable(self, make: Callable[[Any], Any], items: Any) -> Any:
        try:
            return make(items)
        except TypeError:
            # Of a frozen class that is not known only a dict was left, which no set can hold.
            if self._lenient:
                return list(items)
            raise
