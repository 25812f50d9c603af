"""Models that can also be unpacked with ``**``, as a child workflow's result is."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from polos.codec.models import copy_state

T = TypeVar("T")


class _Unpackable:
    """What is added to a model's class; it stands before the model in the order of resolution."""

    __slots__ = ()
    _polos_model_: Any

    def __init_subclass__(cls) -> None:
        # The model's own hook is for classes that its author wrote.
        return

    def keys(self) -> Iterator[str]:
        """The names by which the model's constructor takes the values."""
        cls = type(self)._polos_model_
        fields = {_given_name(cls, name, f): None for name, f in cls.model_fields.items()}
        return iter([*fields, *(getattr(self, "__pydantic_extra__", None) or ())])

    def __getitem__(self, key: str) -> Any:
        cls = type(self)._polos_model_
        for name, field in cls.model_fields.items():
            if key in (name, _given_name(cls, name, field)):
                return getattr(self, name)
        extra = getattr(self, "__pydantic_extra__", None) or {}
        if key in extra:
            return extra[key]
        own: Any = getattr(super(), "__getitem__", None)
        if own is None:
            raise KeyError(key)
        return own(key)

    def __eq__(self, other: object) -> bool:
        return bool(_plain(self) == _plain(other))

    def __ne__(self, other: object) -> bool:
        return bool(_plain(self) != _plain(other))

    def __hash__(self) -> int:
        return hash(_plain(self))

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return unpackable, (_plain(self),)


def _given_name(cls: Any, name: str, field: FieldInfo) -> str:
    config = cls.model_config
    if config.get("validate_by_name") or config.get("populate_by_name"):
        return name
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return next((choice for choice in choices if isinstance(choice, str)), name)


def _plain(value: Any) -> Any:
    """The model itself, sharing its values with the instance that can be unpacked."""
    return copy_state(value, value._polos_model_) if isinstance(value, _Unpackable) else value


def unpackable(value: T) -> T:
    """A model that can be unpacked with ``**`` at run time; anything else comes back unchanged.

    It is an instance of the model's class, equal to the model both ways round, and kept as the
    model. One that has ``keys`` and ``__getitem__`` of its own comes back unchanged.

    Args:
        value: any value.

    Example:
        >>> Receipt(**unpackable(Receipt(number=7)))
        Receipt(number=7)
    """
    if not isinstance(value, BaseModel) or isinstance(value, _Unpackable):
        return value
    cls = type(value)
    if hasattr(cls, "keys") and hasattr(cls, "__getitem__"):
        return value
    made: T = copy_state(value, _class_for(cls))
    return made


@lru_cache(maxsize=1024)
def _class_for(cls: Any) -> Any:
    body: dict[str, Any] = {
        "__slots__": (),
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "_polos_model_": cls,
    }
    # Without Pydantic's metaclass no second schema is built: all of the model's is inherited.
    return ABCMeta.__new__(type(cls), cls.__name__, (_Unpackable, cls), body)
