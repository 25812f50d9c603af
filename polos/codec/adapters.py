"""Pydantic's validators and serializers of annotations, each built once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import ConfigDict, PydanticUserError, TypeAdapter

# Exact texts for inf, nan and bytes; a class that Pydantic doesn't know is checked by isinstance.
_CONFIG = ConfigDict(
    arbitrary_types_allowed=True,
    ser_json_bytes="base64",
    val_json_bytes="base64",
    ser_json_inf_nan="constants",
)


def adapter(annotation: Any) -> TypeAdapter[Any]:
    """The cached TypeAdapter of an annotation.

    Raises:
        PydanticUserError: the annotation can't be used, for example a name that is defined nowhere.
    """
    try:
        # A union equals the same members in another order, but the order can decide.
        return _cached(annotation, repr(annotation))
    except TypeError:  # an annotation that can't be hashed
        return _build(annotation)


def _build(annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation, config=_CONFIG)
    except PydanticUserError:  # a model or dataclass has a configuration of its own
        return TypeAdapter(annotation)


@lru_cache(maxsize=1024)
def _cached(annotation: Any, text: str) -> TypeAdapter[Any]:
    return _build(annotation)
