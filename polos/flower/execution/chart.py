"""The bars of a page of steps, and how all steps lie in the execution's time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from polos.flower.execution.axis import Axis, Mark, by_order, to_scale
from polos.flower.execution.steps import Step, plain_child
from polos.model.inert import one_line
from polos.model.records import Child, as_datetime
from polos.model.spans import Part, Span, of_execution, of_step
from polos.model.steps import Head, StepPage
from polos.model.words import counted, lasting
from polos.store.step_pages import PARTS

# In percent; what takes no time can be seen all the same.
_THINNEST = 0.35
# What is to come takes at most such a part of the whole.
_FUTURE = 0.35
_CLASSES = {Part.QUEUED: "q", Part.WORKING: "w", Part.FAILING: "f", Part.WAITING: "p"}
_DUE = "d"
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Bar:
    """One rectangle; its class says what went on: q, w, f, p (paused), d (until it is due)."""

    css: str
    x: str
    width: str


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the chart.

    Attributes:
        goes_on: whether what it waits for is due after the chart's end.
    """

    id: str
    name: str
    css: str
    bars: tuple[Bar, ...]
    took: str
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """What ended in a part of the execution's time: where it is drawn, and how high.

    Attributes:
        bad: how much of its height stands for what failed.
    """

    x: str
    width: str
    height: int
    bad: int
    since: int
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """All that is drawn.

    Attributes:
        now: where the present is; None where it is not on the chart.
        columns: of the strip above the chart, where not all steps are on the page.
        window: where the page's steps lie on that strip.
    """

    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    now: str | None
    by_order: bool
    columns: tuple[Column, ...] = ()
    window: tuple[str, str] | None = None
    length: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    name: str
    css: str
    spans: tuple[Span, ...]
    due: datetime | None
    took: str


def chart_of(head: Head, page: StepPage, steps: Sequence[Step], shortened: bool) -> Chart:
    """The chart of the steps of one page."""
    now = as_datetime(head.now)
    is_all = page.total <= len(page.rows)
    rows = [_of_execution(head, steps, now)] if is_all else []
    rows += [_of_step(step, now) for step in steps]
    rows += _current(head, page, steps, now)
    ended = head.execution.finished_at is not None
    axis = _axis(head, rows, now, is_all=is_all, shortened=shortened)
    return Chart(
        lines=tuple(_line(row, axis, now) for row in rows),
        marks=axis.marks(as_datetime(head.execution.created_at)),
        now=None if ended or not axis.moments[0] <= now < axis.moments[-1] else _text(axis.x(now)),
        by_order=shortened,
        columns=() if is_all else tuple(_columns(head, page)),
        window=None if is_all else _window(head, steps),
        length=lasting((_ends(head) - as_datetime(head.execution.created_at)).total_seconds()),
    )


def _ends(head: Head) -> datetime:
    return as_datetime(head.execution.finished_at or head.now)


def _of_execution(head: Head, steps: Sequence[Step], now: datetime) -> _Row:
    execution = head.execution
    this = Child(
        execution.id,
        execution.workflow_id,
        execution.status,
        "",
        execution.created_at,
        execution.started_at,
        execution.finished_at,
    )
    own = [step.plain for step in steps if not step.is_copied]
    spans = of_execution(plain_child(this) | {"retried": execution.retried, "steps": own})
    took = lasting((_ends(head) - as_datetime(execution.created_at)).total_seconds())
    return _Row("", "whole execution", "all", tuple(spans), None, took)


def _of_step(step: Step, now: datetime) -> _Row:
    spans = () if step.is_copied else tuple(of_step(step.plain))
    due = step.due if step.is_open else None
    took = "taken over" if step.is_copied else step.took
    if step.is_open and step.started is not None:
        took = lasting(max(0.0, (now - step.started).total_seconds()))
    # What is longer would be cut on the screen, and stands below.
    return _Row(step.id, step.name[:_LONGEST_NAME], step.status, spans, due, took)


def _current(head: Head, page: StepPage, steps: Sequence[Step], now: datetime) -> Iterator[_Row]:
    """What is at work now; until its end a step is not recorded."""
    execution = head.execution
    if execution.status != "running" or not page.is_last or execution.started_at is None:
        return
    ends = [step.ended for step in steps if step.ended is not None and not step.is_copied]
    since = max([as_datetime(execution.started_at), *ends])
    span = Span(Part.WORKING, since, None)
    took = lasting(max(0.0, (now - since).total_seconds()))
    for name in map(one_line, page.running or ("at work",)):
        yield _Row("", name[:_LONGEST_NAME], "running", (span,), None, took)


def _axis(
    head: Head, rows: Sequence[_Row], now: datetime, *, is_all: bool, shortened: bool
) -> Axis:
    moments = [moment for row in rows for moment in _moments(row.spans, now)]
    if is_all:
        moments += [as_datetime(head.execution.created_at), _ends(head)]
    if not moments:
        moments = [as_datetime(head.execution.created_at), _ends(head)]
    dues = [row.due for row in rows if row.due is not None]
    if shortened:
        return by_order([*moments, *dues])
    begin, end = min(moments), max(moments)
    later = max([end, *dues])
    # A wait of thirty days must not make all that was a line.
    return to_scale(begin, min(later, end + (end - begin) * (_FUTURE / (1 - _FUTURE))))


def _moments(spans: Iterable[Span], now: datetime) -> Iterator[datetime]:
    for span in spans:
        yield span.start
        yield now if span.end is None else span.end


def _line(row: _Row, axis: Axis, now: datetime) -> Line:
    bars = [
        _bar(_CLASSES[span.part], axis, span.start, now if span.end is None else span.end)
        for span in row.spans
    ]
    goes_on = row.due is not None and row.due > axis.moments[-1]
    if row.due is not None and row.due > now:
        bars.append(_bar(_DUE, axis, now, row.due))
    return Line(row.id, row.name, row.css, tuple(bars), row.took, goes_on)


def _bar(css: str, axis: Axis, begin: datetime, end: datetime) -> Bar:
    left, right = axis.x(begin), axis.x(end)
    width = max(right - left, _THINNEST)
    return Bar(css, _text(min(left, 100 - width)), _text(width))


def _text(percent: float) -> str:
    return f"{percent:.2f}".rstrip("0").rstrip(".")


def _columns(head: Head, page: StepPage) -> Iterator[Column]:
    most = max((part.steps for part in page.density), default=1)
    begin = as_datetime(head.execution.created_at)
    width = _text(100 / PARTS)
    for part in page.density:
        if part.number < 0:
            continue
        # From one on to be seen at all.
        height = 2 + round(22 * part.steps / most)
        after = lasting((as_datetime(part.begins) - begin).total_seconds())
        share = max(3, round(height * part.failed / part.steps)) if part.failed else 0
        failed = f", {part.failed} failed" if part.failed else ""
        text = f"{counted(part.steps, 'step')}{failed}, {after} after the start"
        x = _text(100 * part.number / PARTS)
        yield Column(x, width, height, min(share, height), part.begins, text)


def _window(head: Head, steps: Sequence[Step]) -> tuple[str, str] | None:
    axis = to_scale(as_datetime(head.execution.created_at), _ends(head))
    ends = [step.ended for step in steps if step.ended is not None]
    if not ends:
        return None
    left, right = axis.x(min(ends)), axis.x(max(ends))
    return _text(min(left, 99.4)), _text(max(right - left, 0.6))
