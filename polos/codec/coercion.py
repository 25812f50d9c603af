"""Values made to fit an annotation."""

from __future__ import annotations

import inspect
from typing import Any

from polos.codec.adapters import adapter


def is_open(annotation: Any) -> bool:
    """Whether an annotation demands nothing: Any, None, or none at all."""
    return annotation in (Any, None, inspect.Parameter.empty)


def coerce(value: Any, annotation: Any) -> Any:
    """The value as an instance of the annotation; itself where it is one already.

    Args:
        value: what a function returned, for example.
        annotation: any annotation that Pydantic knows; Any, None and a missing one demand nothing.

    Raises:
        pydantic.ValidationError: it can't be made one.
        pydantic.PydanticUserError: the annotation can't be used.

    Example:
        >>> coerce({"id": "7"}, Order)
        Order(id=7)
    """
    if is_open(annotation):
        return value
    if _fits(value, annotation):
        return value
    return adapter(annotation).validate_python(value, by_alias=True, by_name=True)


def _fits(value: Any, annotation: Any) -> bool:
    try:
        return isinstance(annotation, type) and isinstance(value, annotation)
    except TypeError:  # a protocol or a TypedDict
        return False
