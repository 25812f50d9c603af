"""Values to bytes and back, of equal value and of the same types at every depth."""

from __future__ import annotations

from typing import Any

from polos.codec.classes import types_of
from polos.codec.packing import STRICT, dump
from polos.codec.refusal import Refused
from polos.codec.unpacking import Unpacker, parse
from polos.errors import CodecError, ValueTooLarge

MAX_VALUE_BYTES = 4 * 1024 * 1024


def encode(value: Any, limit: int = MAX_VALUE_BYTES) -> bytes:
    """A value as bytes: JSON, with tagged objects for what JSON doesn't have.

    Args:
        value: of the types that a step's value may have.
        limit: the largest number of bytes.

    Raises:
        UnsupportedType: something in it is of another type.
        ValueTooLarge: it is over the limit.
        CodecError: it contains itself, or is nested too deeply.

    Example:
        >>> encode({"paid": True, "lines": (1, 2)})
        b'{"paid":true,"lines":{"$":"tuple","v":[1,2]}}'
    """
    return to_bytes(pack(value), limit)


def pack(value: Any) -> Any:
    """A value as JSON data; the errors are those of ``encode``."""
    try:
        return STRICT.pack(value)
    except Refused as refused:
        raise refused.as_error() from None
    except RecursionError:
        raise CodecError("the value is nested too deeply to be kept") from None


def to_bytes(packed: Any, limit: int) -> bytes:
    """JSON data as bytes; raises ValueTooLarge."""
    try:
        # Text may hold half of a surrogate pair, which UTF-8 has no place for.
        data = dump(packed).encode("utf-8", "surrogatepass")
    except RecursionError:
        raise CodecError("the value is nested too deeply to be kept") from None
    if len(data) > limit:
        raise ValueTooLarge(len(data), limit)
    return data


def decode(data: bytes, hint: Any = Any, *, lenient: bool = False) -> Any:
    """The value of bytes that ``encode`` gave.

    Args:
        data: the bytes.
        hint: an annotation, or a tuple of annotations, whose classes are looked at before those of
            the modules that are imported already.
        lenient: give plain data (a dict of the fields, an enum's value) for what can't be made an
            instance of its class again.

    Raises:
        UnknownType: a class that is not known here.
        CodecError: the data is damaged, or its class has changed too much.

    Example:
        >>> decode(b'{"$":"tuple","v":[1,2]}')
        (1, 2)
    """
    return parse(data, lambda: Unpacker(types_of(hint), lenient=lenient).unpack)
