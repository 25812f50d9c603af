"""Times and lengths of time as the pages write them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from polos.model.finding import Awaited, Listed
from polos.model.records import Kind, as_datetime
from polos.model.states import Status

_PARTS = ((86_400, "d"), (3600, "h"), (60, "min"))


class Words:
    """Writes for people.

    Args:
        zone: of all times.
    """

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone

    @property
    def zone_name(self) -> str:
        """What the zone is called."""
        return str(self.zone)

    def moment(self, moment: datetime) -> str:
        """Such as ``2030-01-31 08:00:05``."""
        return moment.astimezone(self.zone).strftime("%Y-%m-%d %H:%M:%S")

    def doing(self, item: Listed) -> str:
        """What an execution does, or waits for."""
        summary = item.summary
        if summary.status.ended:
            return ""
        if summary.cancel_requested_at is not None:
            return "is being cancelled"
        if summary.status is Status.RUNNING:
            return ", ".join(item.steps)
        if summary.status is Status.QUEUED:
            return "for a worker" + (f" of queue {summary.queue}" if summary.queue else "")
        return ", ".join(map(self.awaited, item.awaited)) + (" and more" if item.more else "")

    def awaited(self, wait: Awaited) -> str:
        """One thing that is waited for."""
        until = "" if wait.due_at is None else f" until {self.moment(as_datetime(wait.due_at))}"
        what = {Kind.CHILD: "execution", Kind.TASK: "task"}.get(wait.kind, "")
        return f"{wait.step_key}{f' ({what})' if what else ''}{until}"


def length(seconds: float) -> str:
    """Such as ``12 ms``, ``4.2 s``, ``3 min 20 s`` or ``2 d 4 h``."""
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, name in _PARTS:
        if whole >= size:
            count, rest = divmod(whole, size)
            return f"{count} {name}{_rest(size, rest)}"
    return f"{whole} s"


def _rest(size: int, rest: int) -> str:
    part, name = {86_400: (3600, "h"), 3600: (60, "min"), 60: (1, "s")}[size]
    return f" {rest // part} {name}" if rest >= part else ""


def iso(moment: datetime) -> str:
    """For ``<time datetime>``."""
    return moment.astimezone(UTC).isoformat()
