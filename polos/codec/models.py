"""Pydantic models as tagged JSON objects and back, without running their validators again.

Kept are the fields (``f``), those in the text of their own serializer (``k``), the extra values
(``x``), the private attributes (``p``), which fields were given (``s``, where it isn't all) and
which are absent (``a``). A root model is marked (``r``): without its class it is its root.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from pydantic import BaseModel, RootModel
from pydantic_core import PydanticUndefined

from polos.codec.classes import reference
from polos.codec.fields import load_field
from polos.codec.packer import Pack
from polos.codec.scalars import TAG, Record
from polos.errors import CodecError

_PRIVATE, _EXTRA = "__pydantic_private__", "__pydantic_extra__"


def pack_model(model: BaseModel, depth: int, pack: Pack) -> Record:
    """A model, with all that makes it equal to itself later.

    Raises:
        Refused: something in it can't be kept.
    """
    cls = type(model)
    record: Record = {TAG: "model", "t": reference(cls)}
    state = {name: value for name, value in vars(model).items() if _is_state(cls, name)}
    record["f"], kept = pack.attributes(cls, state, depth)
    if kept:
        record["k"] = kept
    names = set(state)
    if extra := getattr(model, _EXTRA):
        record["x"] = pack.attributes(cls, extra, depth)[0]
        names.update(extra)
    if private := getattr(model, _PRIVATE):
        given = {name: value for name, value in private.items() if value is not PydanticUndefined}
        record["p"] = pack.attributes(cls, given, depth)[0]
    if model.model_fields_set != names:
        record["s"] = sorted(model.model_fields_set)
    if absent := [name for name in _fields(cls) if name not in state]:
        record["a"] = absent
    if isinstance(model, RootModel):
        record["r"] = True
    return record


def _is_state(cls: type, name: str) -> bool:
    # A root model has no slot for its private attributes and has them among its fields.
    if name in (_PRIVATE, _EXTRA):
        return False
    return name in _fields(cls) or not isinstance(getattr(cls, name, None), cached_property)


def _fields(cls: Any) -> dict[str, Any]:
    fields: dict[str, Any] = cls.__pydantic_fields__
    return fields


def restore_model(record: Record, cls: Any) -> BaseModel:
    """The model of a record, made without its validators and without ``model_post_init``.

    Raises:
        CodecError: a field that the class demands is not in the record.
    """
    if not cls.__pydantic_complete__:
        cls.model_rebuild(raise_errors=False)
    values = dict(record["f"])
    for name, kept in record.get("k", {}).items():
        values[name] = load_field(cls, name, kept)
    extra = record.get("x", {})
    given = record.get("s", [*values, *extra])
    names = [name for name in _fields(cls) if name not in record.get("a", ())]
    ordered = {name: _value(cls, name, values) for name in names}
    model: BaseModel = object.__new__(cls)
    allows_extra = cls.model_config.get("extra") == "allow"
    set_state(model, ordered | values, set(given), extra if allows_extra else None)
    set_private(model, record.get("p", {}))
    return model


def _value(cls: Any, name: str, values: dict[str, Any]) -> Any:
    if name in values:
        return values[name]
    # The class has got this field since the value was kept.
    field = _fields(cls)[name]
    if field.is_required():
        raise CodecError(
            f"a kept {cls.__qualname__} has no value for its field {name!r}; "
            "give the field a default"
        )
    return field.get_default(call_default_factory=True, validated_data=values)


def set_state(
    model: BaseModel, fields: dict[str, Any], given: set[str], extra: dict[str, Any] | None
) -> None:
    """Fill a model that was made without its constructor; its private attributes are empty."""
    object.__setattr__(model, "__dict__", fields)
    object.__setattr__(model, "__pydantic_fields_set__", given)
    # Names that a root model has as plain class attributes would end up among its fields.
    if not isinstance(model, RootModel):
        object.__setattr__(model, _EXTRA, extra)
        object.__setattr__(model, _PRIVATE, None)


def set_private(model: BaseModel, private: dict[str, Any]) -> None:
    """Give a model its private attributes, and the defaults of those that are not there."""
    attributes = type(model).__private_attributes__
    if not attributes:
        return
    defaults = {name: a.get_default() for name, a in attributes.items() if name not in private}
    values = {name: d for name, d in defaults.items() if d is not PydanticUndefined} | private
    object.__setattr__(model, _PRIVATE, values)


def copy_state(model: Any, cls: Any) -> Any:
    """An instance of ``cls``, the model's class or one made of it, with the model's content."""
    copy: Any = object.__new__(cls)
    extra, private = getattr(model, _EXTRA), getattr(model, _PRIVATE)
    set_state(
        copy, dict(vars(model)), set(model.model_fields_set), None if extra is None else dict(extra)
    )
    if private is not None:
        object.__setattr__(copy, _PRIVATE, dict(private))
    return copy


def plain_model(record: Record) -> Any:
    """The fields of a record whose class is not known, as a dict; of a root model its root."""
    kept = {name: json.loads(text) for name, (_, text) in record.get("k", {}).items()}
    fields = {**record["f"], **kept, **record.get("x", {})}
    return fields["root"] if record.get("r") else fields
