"""What client and server say to each other, as plain data for JSON; both sides use this.

Records go field by field, under their own names: bytes as the codec's text, times and failures as
they are stored. Who reads leaves out what it doesn't know and takes defaults for what isn't there,
so that a client and a server may be of different versions.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache, partial
from typing import Any, TypeVar, get_args, get_origin, get_type_hints
from urllib.parse import quote, unquote

from polos.errors import CodecError
from polos.model.listing import ExecutionPage, ExecutionQuery
from polos.model.ports import StartRequest
from polos.model.records import Execution, Micros, Progress, as_datetime

T = TypeVar("T")

# With this header and value, answers also have the records as they are.
ENCODING_HEADER, CODEC = "Polos-Encoding", "codec"
# Names the project, where the caller may see several.
PROJECT_HEADER = "Polos-Project"
# No form of another site can send it.
REQUEST_HEADER = "Polos-Request"

# No JSON begins like this, so no text of the codec does.
_NOT_TEXT = "base64:"
# What a start says beside the payload and the state, by the names of its fields.
_START = (
    "workflow_id",
    "queue",
    "priority",
    "concurrency_key",
    "session_id",
    "user_id",
    "idempotency_key",
    "execution_id",
    "run_timeout_seconds",
    "delay_seconds",
    "deployment_id",
    "awaited",
    "declared",
    "tags",
)
# The year 9000.
_LATEST = 221_845_392_000_000_000
_ENCODED = {"payload": "encoded_payload", "initial_state": "encoded_initial_state"}

_decoder = json.JSONDecoder()
_encoder = json.JSONEncoder(separators=(",", ":"))


def dump(data: Any) -> bytes:
    """Plain data as JSON; in ASCII, because texts may hold what UTF-8 has no place for."""
    return _encoder.encode(data).encode("ascii")


def load(data: bytes) -> Any:
    """The plain data of JSON; raises ValueError."""
    try:
        return _decoder.decode(data.decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def text_of(data: bytes) -> str:
    """The codec's bytes as text: what they are, unless they are damaged or hold half characters."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _NOT_TEXT + base64.b64encode(data).decode("ascii")


def bytes_of(text: str) -> bytes:
    """The bytes of ``text_of``; raises ValueError."""
    if text.startswith(_NOT_TEXT):
        return base64.b64decode(text.removeprefix(_NOT_TEXT), validate=True)
    return text.encode("utf-8", "surrogatepass")


def start_json(request: StartRequest) -> dict[str, Any]:
    """The body of a start: what it gives, and nothing for what it leaves to defaults."""
    given = {name: value for name, value in _given(request) if name in _START}
    encoded = {
        name: text_of(data)
        for field, name in _ENCODED.items()
        if (data := getattr(request, field)) is not None
    }
    return {name: to_json(value) for name, value in given.items()} | encoded


def start_request(
    body: Mapping[str, Any], payload: bytes, initial_state: bytes | None = None
) -> StartRequest:
    """The start that a body asks for.

    Args:
        body: as ``start_json`` gave it, with ``workflow_id``.
        payload: what the body has as its payload, encoded.
        initial_state: what the body has as its state, encoded.
    """
    named = {name: body[name] for name in _START if body.get(name) is not None}
    named["tags"] = tuple(named.get("tags", ()))
    return StartRequest(**named, payload=payload, initial_state=initial_state)


def encoded_of(body: Mapping[str, Any], field: str) -> bytes | None:
    """The bytes that a body has for ``payload`` or ``initial_state``; raises ValueError."""
    text = body.get(_ENCODED[field])
    return None if text is None else bytes_of(text)


def project_text(project_id: str) -> str:
    """A project's id as a header can carry it."""
    return quote(project_id, safe=" !#$&'()*+,/:;=?@[]")


def project_of(text: str) -> str:
    """The project's id of a header."""
    return unquote(text)


def member(data: Any, name: str, kind: type[T]) -> T:
    """A member of an answer; raises CodecError."""
    found = data.get(name) if isinstance(data, dict) else None
    if not isinstance(found, kind):
        raise CodecError(f"the server's answer has no {name!r} that is known here")
    return found


def execution_in(data: Any) -> Execution:
    """The execution that an answer shows, as it is stored; raises CodecError."""
    return execution_of(member(data, "encoded", dict))


def executions_in(data: Any) -> list[Execution]:
    """The executions that an answer lists, as they are stored; raises CodecError."""
    return [execution_in(item) for item in member(data, "items", list)]


def progress_in(data: Any) -> Progress:
    """The progress of the execution that an answer shows, as it is stored; raises CodecError."""
    return progress_of(member(data, "encoded_progress", dict))


def execution_of(data: Any) -> Execution:
    """The execution of what ``to_json`` made of it; raises CodecError."""
    return from_json(Execution, data)


def progress_of(data: Any) -> Progress:
    """The progress of what ``to_json`` made of it; raises CodecError."""
    return from_json(Progress, data)


def page_of(data: Any) -> ExecutionPage:
    """The page of what ``to_json`` made of it; raises CodecError."""
    return from_json(ExecutionPage, data)


def query_items(query: ExecutionQuery) -> list[tuple[str, str]]:
    """A query as the parameters of a URL."""
    items = [
        ("workflow_id", query.workflow_id),
        *(("status", status.value) for status in query.statuses),
        ("session_id", query.session_id),
        ("user_id", query.user_id),
        ("tag", query.tag),
        ("created_after", _iso(query.created_after)),
        ("created_before", _iso(query.created_before)),
        ("parent_execution_id", query.parent_execution_id),
        ("cursor", None if query.after is None else query.after.to_cursor()),
        ("limit", str(query.limit)),
    ]
    return [(name, value) for name, value in items if value is not None]


def to_json(value: Any) -> Any:
    """A record, or anything that is in one, as plain data."""
    if isinstance(value, bytes):
        return text_of(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return [to_json(it) for it in value]
    if isinstance(value, dict):
        return {name: to_json(it) for name, it in value.items()}
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    return value


def from_json(kind: type[T], data: Any) -> T:
    """The record of what ``to_json`` made of it.

    Args:
        kind: the record's class.
        data: the plain data.

    Raises:
        CodecError: it is none.
    """
    wanted: Any = kind
    try:
        known = {name: read(data[name]) for name, read in _readers(wanted).items() if name in data}
        return kind(**known)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise CodecError(f"this is no {kind.__name__} that is known here: {error}") from error


@cache
def _readers(kind: Any) -> dict[str, Callable[[Any], Any]]:
    """What makes the values of a record's fields of plain data."""
    hints = get_type_hints(kind)
    return {field.name: _reader(hints[field.name]) for field in fields(kind)}


def _reader(hint: Any) -> Callable[[Any], Any]:
    if get_origin(hint) is tuple:
        read = _reader(get_args(hint)[0])
        return lambda values: tuple(read(value) for value in values)
    for member in get_args(hint) or (hint,):
        make = _maker(member)
        if make is not None:
            return lambda value: None if value is None else make(value)
    return _as_it_is


def _maker(member: Any) -> Callable[[Any], Any] | None:
    if member is bytes:
        return bytes_of
    if member is datetime:
        return datetime.fromisoformat
    if isinstance(member, type) and issubclass(member, StrEnum):
        return member
    if isinstance(member, type) and is_dataclass(member):
        return partial(from_json, member)
    return None


def _as_it_is(value: Any) -> Any:
    return value


def _given(request: StartRequest) -> Iterator[tuple[str, Any]]:
    for field in fields(request):
        value = getattr(request, field.name)
        if field.default is MISSING or value != field.default:
            yield field.name, value


def _iso(moment: Micros | None) -> str | None:
    if moment is None:
        return None
    # Nothing was written before or after these, and not every reader knows such years.
    return as_datetime(Micros(max(0, min(moment, _LATEST)))).isoformat()
