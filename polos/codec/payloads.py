"""Payloads to bytes and back.

A payload outlives the code that it was written for. While its class is what it was it is restored
as it is, because a validator need not accept its own output. It is validated again where the class
has changed, or where the row holds a plain dict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from polos.codec.adapters import adapter
from polos.codec.classes import Kind, Types, reference, spell, types_of
from polos.codec.coercion import is_open
from polos.codec.fingerprint import fingerprint
from polos.codec.hints import is_enum, is_model, is_union
from polos.codec.models import plain_model
from polos.codec.refusal import name_of
from polos.codec.scalars import TAG
from polos.codec.unpacking import Unpacker, parse
from polos.codec.values import MAX_VALUE_BYTES, decode, pack, to_bytes
from polos.errors import CodecError, InvalidPayload, UnknownType, ValueTooLarge

_MODULES = re.compile(r"[\w.]+:")
_SHOWN_ERRORS = 5


def encode_payload(payload: Any, limit: int | None = MAX_VALUE_BYTES) -> bytes:
    """A payload as bytes.

    Args:
        payload: a Pydantic model, a dict or None.
        limit: the largest number of bytes; None means the default.

    Raises:
        TypeError: it is something else.
        UnsupportedType: something in it can't be kept.
        ValueTooLarge: it is over the limit.
    """
    if payload is not None and not isinstance(payload, dict | BaseModel):
        raise TypeError(
            f"a payload is a Pydantic model, a dict or None, not {name_of(type(payload))}"
        )
    packed = pack(payload)
    if isinstance(payload, BaseModel):
        packed["h"] = fingerprint(type(payload))
    return to_bytes(packed, MAX_VALUE_BYTES if limit is None else limit)


def foreign_payload(data: bytes, limit: int = MAX_VALUE_BYTES) -> bytes:
    """A payload that another program has encoded, so that it is validated wherever it is read.

    What is restored as it is would get past the workflow's validators: so the payload's own model
    loses the mark of its class, and models and dataclasses inside of it become plain fields.

    Args:
        data: what ``encode_payload`` gave there.
        limit: the largest number of bytes.

    Raises:
        CodecError: it is damaged, or no model, dict or None.
        ValueTooLarge: it is over the limit.
    """
    if len(data) > limit:
        raise ValueTooLarge(len(data), limit)
    record = parse(data)
    if not (record is None or isinstance(record, dict)) or _tag(record) not in _PAYLOADS:
        raise CodecError("a payload is a model, a dict or null")
    if record is not None and _tag(record) == "model":
        record.pop("h", None)
        return to_bytes(record, limit)
    # Written anew: a tag may have been spelled in another way, by which it is not seen as one.
    return to_bytes(parse(to_bytes(record, limit), lambda: _as_fields), limit)


_PAYLOADS = frozenset({None, "dict", "model"})
_WITH_FIELDS = frozenset({"dataclass", "model"})


def _tag(record: Any) -> Any:
    tag = record.get(TAG) if isinstance(record, dict) else None
    return tag if tag is None or isinstance(tag, str) else ""


def _as_fields(record: dict[str, Any]) -> Any:
    if _tag(record) not in _WITH_FIELDS:
        return record
    try:
        for _, text in record.get("k", {}).values():
            json.loads(text, object_hook=_untagged)
        fields = plain_model(record)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise CodecError(f"a part of the payload is damaged: {error!r}") from error
    return _untagged(fields) if isinstance(fields, dict) else fields


def _untagged(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields, of which none would make them something else."""
    if TAG in fields:
        raise CodecError(f"a part of the payload has a field {TAG!r}, which can't be kept")
    return fields


def json_payload(payload: Any) -> Any:
    """A payload as a message carries it: a model as plain data, which validates to it again.

    Args:
        payload: anything; what is no model is given back as it is.
    """
    if not isinstance(payload, BaseModel):
        return payload
    return payload.model_dump(mode="json", by_alias=False, round_trip=True)


def decode_payload(data: bytes, annotation: Any) -> Any:
    """The payload of bytes that ``encode_payload`` gave, as the annotation wants it.

    Args:
        data: the bytes.
        annotation: ``dict``, a model, a union of them; Any, None and a missing one demand nothing.

    Raises:
        InvalidPayload: it doesn't fit; the text names the field.
        CodecError: the data is damaged.
    """
    if is_open(annotation):
        return decode(data, lenient=True)
    record = parse(data)
    if not isinstance(record, dict) or record.get(TAG) != "model":
        return _validated(decode(data, annotation, lenient=True), annotation)
    member = _member(record.get("t"), annotation)
    if member is None:
        return _validated(_fields(data), annotation)
    if record.get("h") == fingerprint(member):
        restored = _restored(data, member, annotation)
        if type(restored) is member:
            return restored
    return _revalidated(data, record, member)


def _restored(data: bytes, member: Any, annotation: Any) -> Any:
    try:
        return decode(data, (member, annotation))
    except CodecError:
        return None


def _revalidated(data: bytes, record: dict[str, Any], member: Any) -> Any:
    model = _validated(_fields(data), member)
    # Validation took every field for given; the sender may have left some to their defaults.
    if "s" in record:
        model.model_fields_set.intersection_update(record["s"])
    return model


class _EnumsOnly(Types):
    """Leaves models and dataclasses as dicts, for validators to make instances of."""

    def find(self, name: Any, kind: Kind) -> Any:
        if kind is not is_enum:
            raise UnknownType(spell(name))
        return super().find(name, kind)


def _fields(data: bytes) -> Any:
    return parse(data, lambda: Unpacker(_EnumsOnly(Any), lenient=True).unpack)


def _member(name: Any, annotation: Any) -> Any:
    """The model of an annotation that a kept name stands for, or a subclass of one."""
    models = [member for member in _members(annotation) if is_model(member)]
    by_name = [m for m in models if reference(m) == name]
    by_qualname = [m for m in models if _bare(reference(m)) == _bare(name)]
    if found := by_name or by_qualname:
        return found[0]
    try:
        known = types_of(annotation).find(name, is_model)
    except CodecError:
        return None
    return known if issubclass(known, tuple(models)) else None


def _members(annotation: Any) -> Iterable[Any]:
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if hasattr(annotation, "__value__"):
        return _members(annotation.__value__)
    if is_union(annotation):
        return [m for part in get_args(annotation) for m in _members(part)]
    return [annotation]


def _bare(name: Any) -> str:
    return _MODULES.sub("", spell(name))


def _validated(value: Any, annotation: Any) -> Any:
    if type(value) is annotation:
        return value
    validator = adapter(annotation)
    try:
        return validator.validate_python(value, by_alias=True, by_name=True)
    except ValidationError as error:
        raise InvalidPayload(_text(error)) from error
    except Exception as error:  # of a validator of the user's; any error is possible
        kind = type(error).__name__
        raise InvalidPayload(f"the payload can't be validated: {kind}: {error}") from error


def _text(error: ValidationError) -> str:
    """Each field with its fault, but not its value, which may be secret."""
    faults = [
        f"{'.'.join(map(str, fault['loc'])) or '(all of it)'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    more = len(faults) - _SHOWN_ERRORS
    rest = f"; and {more} more" if more > 0 else ""
    return f"the payload doesn't fit: {'; '.join(faults[:_SHOWN_ERRORS])}{rest}"
