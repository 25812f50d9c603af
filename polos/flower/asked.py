"""What the list is asked for: the arguments of its address, and the fields of its form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from polos.definition.names import check_text
from polos.model.finding import Sought
from polos.model.listing import Place
from polos.model.records import SECOND, Micros, as_micros
from polos.model.states import Status

LIMIT = 50
# What a text can be, by what the field calls it.
KINDS = {
    "id": ("ID begins with", "id_prefix"),
    "tag": ("Tag is", "tag"),
    "session": ("Session is", "session_id"),
    "user": ("User is", "user_id"),
}
SPANS = {
    "": ("Any time", None),
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("Last 24 hours", timedelta(hours=24)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
    "between": ("From … to …", None),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for, as it stands in the form.

    Attributes:
        texts: a text for each of the form's fields; what has none is left out.
        statuses: those that are ticked.
        sought: the same, for the store.
    """

    texts: Mapping[str, str]
    statuses: tuple[Status, ...]
    sought: Sought

    @property
    def is_narrow(self) -> bool:
        """Whether anything is left out."""
        return self.sought.is_narrow

    @property
    def counted(self) -> Sought:
        """What is counted by status: the same in any status, on all pages."""
        return replace(self.sought.at(None), statuses=())

    def toggled(self, status: Status) -> list[str]:
        """The statuses with one more, or without one that is among them."""
        chosen = set(self.statuses) ^ {status}
        return [it.value for it in Status if it in chosen]

    def query(self, **changes: Any) -> dict[str, Any]:
        """The arguments of an address that asks for the same, but for these changes."""
        return dict(self.texts) | {"status": [it.value for it in self.statuses]} | changes


def asked_for(one: Callable[[str], str], several: Callable[[str], Sequence[str]]) -> Asked:
    """What the arguments of an address ask for.

    Args:
        one: gives an argument, or an empty text.
        several: gives all that an argument is.

    Raises:
        ValueError: one of them can't be understood; the text says which, and what to write.
    """
    names = ("workflow", "by", "text", "span", "from", "to")
    texts = {name: text for name in names if (text := one(name).strip())}
    statuses = tuple(_status(it) for it in dict.fromkeys(several("status")) if it)
    cursor = one("after") or one("before")
    sought = Sought(
        workflow_id=check_text("workflow", texts.get("workflow")),
        statuses=statuses,
        place=Place.of_cursor(cursor) if cursor else None,
        newer=bool(one("before")),
        limit=LIMIT,
        **_text(texts),
        **_times(texts),
    )
    return Asked(texts, statuses, sought)


def _text(texts: dict[str, str]) -> dict[str, Any]:
    text = texts.get("text")
    by = texts.get("by", "id")
    if by not in KINDS:
        raise ValueError(f"a text is looked for by {', '.join(KINDS)}, not by {by!r}")
    name, field = KINDS[by]
    return {field: check_text(name, text)} if text else {}


def _times(texts: dict[str, str]) -> dict[str, Any]:
    span = texts.get("span", "")
    if span not in SPANS:
        raise ValueError(f"span is {span!r}; it can be {', '.join(filter(None, SPANS))}")
    length = SPANS[span][1]
    if length is not None:
        # To ten seconds: who asks again soon asks for the same.
        since = as_micros(datetime.now(UTC) - length)
        return {"created_after": Micros(since - since % (10 * SECOND))}
    if span != "between":
        return {}
    return {
        "created_after": _moment("from", texts),
        "created_before": _moment("to", texts),
    }


def _moment(name: str, texts: dict[str, str]) -> Micros | None:
    text = texts.get(name)
    if not text:
        return None
    try:
        return as_micros(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise ValueError(f"'{name}' is {text!r}; write a time as 2030-01-31T08:00") from None


def _status(text: str) -> Status:
    try:
        return Status(text)
    except ValueError:
        raise ValueError(f"status is {text!r}; it can be {', '.join(Status)}") from None
