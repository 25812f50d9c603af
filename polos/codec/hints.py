"""Which classes an annotation speaks of: those in it, in its fields, in their fields, and so on."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from typing import Any, ForwardRef, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

_PLAIN = frozenset({type(None), bool, int, float, str, bytes, list, dict, tuple, set, frozenset})


def is_model(cls: Any) -> bool:
    """Whether it is a class of Pydantic models."""
    return isinstance(cls, type) and issubclass(cls, BaseModel)


def is_dataclass(cls: Any) -> bool:
    """Whether it is a dataclass itself, not an instance of one."""
    return isinstance(cls, type) and dataclasses.is_dataclass(cls)


def is_enum(cls: Any) -> bool:
    """Whether it is a class of enum members."""
    return isinstance(cls, type) and issubclass(cls, Enum)


def is_union(annotation: Any) -> bool:
    """Whether it is ``A | B`` or ``Union[A, B]``."""
    return get_origin(annotation) in (Union, types.UnionType)


def types_in(hint: Any) -> tuple[type, ...]:
    """The models, dataclasses and enums that can be reached from an annotation.

    Args:
        hint: an annotation, or a tuple of them.
    """
    try:
        return _cached_types_in(hint)
    except TypeError:  # an annotation that can't be hashed
        return _search(hint)


def _search(hint: Any) -> tuple[type, ...]:
    seen: dict[int, Any] = {}
    todo = [hint]
    while todo:
        annotation = todo.pop()
        if id(annotation) not in seen and not _is_leaf(annotation):
            # Keeping the object keeps its id from being given to another one.
            seen[id(annotation)] = annotation
            todo.extend(_parts(annotation))
    return tuple(c for c in seen.values() if is_model(c) or is_dataclass(c) or is_enum(c))


_cached_types_in = lru_cache(maxsize=1024)(_search)


def _is_leaf(annotation: Any) -> bool:
    if annotation is Any or isinstance(annotation, str | ForwardRef):
        return True
    return isinstance(annotation, type) and annotation in _PLAIN


def _parts(annotation: Any) -> Iterable[Any]:
    """What an annotation is made of, one level down."""
    if isinstance(annotation, tuple | list):
        return annotation
    if isinstance(annotation, TypeVar):
        return (annotation.__bound__, *annotation.__constraints__)
    if isinstance(annotation, type) and not get_args(annotation):
        return _fields(annotation)
    # __value__ is that of ``type X = …``, __supertype__ that of a NewType.
    named = (getattr(annotation, name, None) for name in ("__value__", "__supertype__"))
    return (*named, get_origin(annotation), *get_args(annotation))


def _fields(cls: type) -> Iterable[Any]:
    if is_model(cls):
        return _model_parts(cls)
    if is_dataclass(cls) or hasattr(cls, "__total__") or hasattr(cls, "_field_defaults"):
        return _hints_of(cls).values()
    return ()


def _model_parts(cls: Any) -> Iterable[Any]:
    if not cls.__pydantic_complete__:
        cls.model_rebuild(raise_errors=False)
    generic = cls.__pydantic_generic_metadata__
    annotations = [field.annotation for field in cls.model_fields.values()]
    return [generic["origin"], *generic["args"], *annotations]


def _hints_of(cls: type) -> dict[str, Any]:
    try:
        return get_type_hints(cls)
    except Exception:  # names that only a type checker can see; any error is possible
        fields = getattr(cls, "__dataclass_fields__", {})
        return {name: field.type for name, field in fields.items()}
