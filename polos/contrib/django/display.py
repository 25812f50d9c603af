"""What is stored, as text and tables for people; all of it inert HTML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from polos.codec import decode, decode_failure, plain
from polos.errors import CodecError
from polos.model.records import SECOND, Failure, Micros, as_datetime

NOTHING = "-"
_CHARACTERS = 20_000


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
        found = plain(decode(bytes(data), lenient=True))
    except CodecError as error:
        return f"(can't be read: {error})"
    return _shortened(json.dumps(found, indent=2, ensure_ascii=False))


def failure_of(data: Any) -> Failure | None:
    """A stored failure; of one that can't be read, that."""
    if data is None:
        return None
    try:
        return decode_failure(bytes(data))
    except CodecError as error:
        return Failure(f"(can't be read: {error})", "")


def failure_text(data: Any) -> str:
    """The type and the text of a stored failure."""
    failure = failure_of(data)
    if failure is None:
        return NOTHING
    return _shortened(": ".join(filter(None, (failure.error_type, failure.reason))))


def block(text: str) -> str | SafeString:
    """Text with its line breaks."""
    return (
        text
        if text == NOTHING
        else format_html(
            '<pre style="margin:0;white-space:pre-wrap;overflow-wrap:anywhere">{}</pre>', text
        )
    )


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str | SafeString:
    """A table; where it has no rows, a dash."""
    made = [
        format_html("<tr>{}</tr>", format_html_join("", "<td>{}</td>", zip(row))) for row in rows
    ]
    if not made:
        return NOTHING
    titles = format_html_join("", "<th>{}</th>", zip(head))
    body = format_html_join("", "{}", zip(made))
    return format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", titles, body)


def _shortened(text: str) -> str:
    if len(text) <= _CHARACTERS:
        return text
    return f"{text[:_CHARACTERS]}… ({len(text):,} characters)"
