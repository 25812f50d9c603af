"""Model fields of types that only Pydantic knows, such as Path, HttpUrl or IPv4Address.

Their values are kept as the JSON text that the serializer of the field's annotation gives, if its
validator makes the same value of it again.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from polos.codec.adapters import adapter
from polos.codec.hints import is_union
from polos.errors import CodecError

_CONTAINERS: Any = (
    *(list, dict, tuple, set, frozenset, deque, defaultdict, OrderedDict),
    *(Iterable, Mapping, Sequence),
)
_BARE, _WHOLE = "bare", "whole"


def keep_field(cls: Any, name: str, value: Any) -> list[str] | None:
    """The text for a field's value and how to read it, or None where it can't be kept so."""
    # Without validators from Annotated, if possible: FilePath's wants the file to be there still.
    for mode in (_BARE, _WHOLE):
        try:
            chosen = _adapter_of(cls, name, mode)
            text = chosen.dump_json(value, warnings=False)
            if _same(value, chosen.validate_json(text)):
                return [mode, text.decode()]
        except Exception:  # user code in serializers and validators; any error is possible
            continue
    return None


def load_field(cls: Any, name: str, kept: list[str]) -> Any:
    """The value for what ``keep_field`` gave.

    Raises:
        CodecError: the field is gone, or its annotation takes the value no more.
    """
    mode, text = kept
    try:
        return _adapter_of(cls, name, mode).validate_json(text)
    except Exception as error:  # as above
        raise CodecError(
            f"field {name!r} of {cls.__qualname__} can't be brought back: {error}"
        ) from error


def _adapter_of(cls: Any, name: str, mode: str) -> TypeAdapter[Any]:
    return adapter(_annotation(cls, name, mode == _WHOLE))


@lru_cache(maxsize=1024)
def _annotation(cls: Any, name: str, whole: bool) -> Any:
    field: FieldInfo = cls.__pydantic_fields__[name]
    annotation: Any = field.annotation
    if not whole:
        return _stripped(annotation)
    for note in field.metadata:
        annotation = Annotated[annotation, note]
    return annotation


def _stripped(annotation: Any) -> Any:
    """An annotation without what ``Annotated`` adds, inside of it too."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _stripped(arguments[0])
    if is_union(annotation):
        return Union[tuple(map(_stripped, arguments))]  # noqa: UP007
    if origin in _CONTAINERS:
        return origin[tuple(map(_stripped, arguments))]
    return annotation


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same types at every depth."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, dict):
        return _same_items(one.keys(), other.keys()) and _same_items(one.values(), other.values())
    if isinstance(one, list | tuple | deque):
        return _same_items(one, other)
    if isinstance(one, BaseModel):
        return one.model_fields_set == other.model_fields_set and _same(vars(one), vars(other))
    if dataclasses.is_dataclass(one):
        return all(
            _same(getattr(one, field.name), getattr(other, field.name))
            for field in dataclasses.fields(one)
        )
    if isinstance(one, datetime | time):
        return bool(one.tzinfo == other.tzinfo)
    return True


def _same_items(one: Any, other: Any) -> bool:
    return len(one) == len(other) and all(map(_same, one, other))
