"""What is stored, as text and tables for people; all of it inert HTML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join

from polos.codec import decode, decode_failure, decode_history, plain, redacted, redacted_text
from polos.contrib.django.project import redact
from polos.errors import CodecError
from polos.model.records import SECOND, Failure, Micros, as_datetime

NOTHING = "-"
_CHARACTERS = 20_000
_BLOCK = '<pre style="margin:0;white-space:pre-wrap;overflow-wrap:anywhere">{}</pre>'
_TABLE = "<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>"


def moment(micros: int | None) -> datetime | None:
    """A stored time, for Django to show in the reader's time zone."""
    return None if micros is None else as_datetime(Micros(micros))


def clock(micros: int | None) -> str:
    """A stored time as text, to the millisecond, in the reader's time zone."""
    if micros is None:
        return NOTHING
    found = as_datetime(Micros(micros))
    here = timezone.localtime(found) if timezone.get_current_timezone() else found
    return f"{date_format(here, 'Y-m-d H:i:s')}.{here.microsecond // 1000:03}"


def span(start: int | None, end: int | None) -> str:
    """The time between two stored ones, such as ``1 h 2 min 3 s`` or ``0.042 s``."""
    if start is None or end is None:
        return NOTHING
    seconds = max(0.0, (end - start) / SECOND)
    if seconds < 60:
        return f"{seconds:.3f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def value_text(data: Any) -> str:
    """A stored value as readable JSON; one that can't be read says why."""
    if data is None:
        return NOTHING
    try:
        found = redacted(plain(decode(bytes(data), lenient=True)), redact())
    except CodecError as error:
        return f"(can't be read: {error})"
    return _shortened(json.dumps(found, indent=2, ensure_ascii=False))


def failure_of(data: Any) -> Failure | None:
    """A stored failure; of one that can't be read, that."""
    if data is None:
        return None
    try:
        found = decode_failure(bytes(data))
    except CodecError as error:
        return Failure(f"(can't be read: {error})", "")
    names = redact()
    return replace(
        found,
        reason=redacted_text(found.reason, names),
        traceback=redacted_text(found.traceback, names),
    )


def failure_text(data: Any) -> str:
    """The type and the text of a stored failure."""
    failure = failure_of(data)
    if failure is None:
        return NOTHING
    return _shortened(": ".join(filter(None, (failure.error_type, failure.reason))))


def history_text(data: Any) -> str:
    """The attempts that failed before the last one, one a line."""
    tried = decode_history(None if data is None else bytes(data))
    lines = [
        f"{clock(it.at)} {it.error_type}: {redacted_text(it.reason, redact())}" for it in tried
    ]
    return _shortened("\n".join(lines)) or NOTHING


def block(text: str) -> str:
    """Text with its line breaks."""
    return text if text == NOTHING else str(format_html(_BLOCK, text))


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; where it has no rows, a dash."""
    lines = [format_html("<tr>{}</tr>", _cells("td", row)) for row in rows]
    if not lines:
        return NOTHING
    return str(
        format_html(
            _TABLE, _cells("th", head), format_html_join("", "{}", ((line,) for line in lines))
        )
    )


def _cells(tag: str, contents: Sequence[Any]) -> Any:
    return format_html_join("", f"<{tag}>{{}}</{tag}>", ((it,) for it in contents))


def _shortened(text: str) -> str:
    if len(text) <= _CHARACTERS:
        return text
    return f"{text[:_CHARACTERS]}… ({len(text):,} characters)"
