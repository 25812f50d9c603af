"""All that the page of an execution shows, gathered where the database may be waited for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from polos.client.unserved import unserved
from polos.flower.execution.chart import Chart, chart_of
from polos.flower.execution.looks import Look
from polos.flower.execution.steps import Step, step_of
from polos.flower.execution.values import Error, Value, error_of, value_of
from polos.model.inert import one_line
from polos.model.records import as_datetime
from polos.model.states import ENDED, Status
from polos.model.steps import Asked, Family, Head, StepPage
from polos.model.words import at, lasting
from polos.server.served import Served
from polos.store.sql_store import SqlStore

# So many bytes of values are on the page itself, the fewer the more rows it has; what is left comes
# when it is unfolded.
_BUDGET, _LEAST, _ROW = 18_000, 6_000, 640
# Around a step's values, and around each of them.
_OUTER, _FRAME = 500, 300


_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """An execution as it is shown; what the asked part doesn't need is None."""

    look: Look
    head: Head
    payload: Value | None = None
    result: Value | None = None
    state: Value | None = None
    error: Error | None = None
    page: StepPage | None = None
    steps: tuple[Step, ...] = ()
    chart: Chart | None = None
    family: Family | None = None
    step: Step | None = None
    unclaimed: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it changes any more by itself."""
        return self.head.execution.status in ENDED

    @property
    def reason(self) -> str:
        """Why it stands as it does, where that can be said in a sentence."""
        if self.page is None:
            return ""
        said = _reason(self.head, self.page)
        return f"{said.removesuffix('.')}; {self.unclaimed}." if self.unclaimed else said

    @property
    def is_to_end(self) -> str:
        """That it is told to end, and why."""
        execution = self.head.execution
        asked, deadline = execution.cancel_requested_at, execution.deadline_at
        if asked is None or self.has_ended:
            return ""
        if deadline is not None and asked >= deadline:
            return f"Its time was over at {at(as_datetime(deadline))}: it cleans up, and ends."
        return f"It is to be cancelled since {at(as_datetime(asked))}: it cleans up, and ends."

    @property
    def at_work(self) -> tuple[str, ...]:
        """The steps that are at work now, on the page that has the last of them."""
        running = self.head.execution.status is Status.RUNNING
        if self.page is None or not running or not self.page.is_last:
            return ()
        return tuple(map(one_line, self.page.running))

    @property
    def shown_whole(self) -> frozenset[str]:
        """The ids of the steps whose values are on the page itself."""
        left, found = max(_LEAST, _BUDGET - _ROW * len(self.steps)), set()
        for step in self.steps:
            weight = _weight(step)
            if weight <= left or step.key == self.look.step:
                left -= weight
                found.add(step.id)
        return frozenset(found)


def seen(served: Served, store: SqlStore, execution_id: str, look: Look) -> Seen | None:
    """What a look at an execution shows; None where there is none of that id."""
    with store.one_connection():
        head = store.head(execution_id)
        if head is None:
            return None
        found = Seen(look, head)
        if look.part == "step":
            return _one_step(served, store, found)
        if look.part in {"", "head"}:
            found = _with_values(served, found)
        if look.part != "family":
            why = one_line(unserved(store, head.execution, head.now))
            found = replace(_with_steps(served, store, found), unclaimed=why)
        if look.part in {"", "family"}:
            found = replace(found, family=store.family(head, look.children))
        return found


def _with_values(served: Served, found: Seen) -> Seen:
    head = found.head
    return replace(
        found,
        payload=value_of(served, head.payload),
        result=value_of(served, head.result),
        state=value_of(served, head.initial_state),
        error=error_of(served, head.failure),
    )


def _with_steps(served: Served, store: SqlStore, found: Seen) -> Seen:
    page = _page(store, found.head, found.look.asked)
    begins = found.head.execution.created_at
    rows = (*page.rows, *(page.waits if page.is_last else ()))
    steps = tuple(step_of(served, row, begins) for row in rows)
    chart = None
    if found.look.part in {"", "timeline"}:
        chart = chart_of(found.head, page, steps, found.look.by_order)
    return replace(found, page=page, steps=steps, chart=chart)


def _page(store: SqlStore, head: Head, asked: Asked) -> StepPage:
    page = store.steps(head, asked)
    if len(page.rows) == min(page.total, asked.limit):
        return page
    # It begins so near to the end, or ends so near to the beginning, that there is room for more.
    nearest = Asked(last=asked.before is None, limit=asked.limit)
    return replace(store.steps(head, nearest), found=page.found)


def _one_step(served: Served, store: SqlStore, found: Seen) -> Seen | None:
    key = found.look.step
    if key is None:
        return None
    page = store.steps(found.head, Asked(key=key, limit=1))
    rows = [row for row in (*page.rows, *page.waits) if row.key == key]
    if not rows:
        return None
    return replace(found, page=page, step=step_of(served, rows[0], found.head.execution.created_at))


def _weight(step: Step) -> int:
    texts: list[Any] = [step.input and step.input.text, step.value and step.value.text]
    texts += [step.error and step.error.text, step.error and step.error.traceback]
    texts += [tried.error.text for tried in step.tried]
    # What is escaped and indented is longer than what is stored.
    return _OUTER + sum(round(1.3 * len(text)) + _FRAME for text in texts if text)


def _reason(head: Head, page: StepPage) -> str:
    execution = head.execution
    match execution.status.value:
        case "queued":
            since = lasting((head.now - execution.created_at) / 1e6)
            return f"No worker has taken it yet, {since} after it was written."
        case "cancelled" if execution.expired:
            return "It was not begun in time."
        case "cancelled" if execution.cancel_requested_at is not None:
            return f"Cancelled by a request of {at(as_datetime(execution.cancel_requested_at))}."
        case "running" if execution.started_at is not None:
            return _at_work(head, page)
        case "waiting" if not page.waiting and execution.wake_at is not None:
            return f"Waits until {at(as_datetime(execution.wake_at))}."
        case "waiting":
            return _waits(head, page)
    return ""


def _at_work(head: Head, page: StepPage) -> str:
    on = f" on {one_line(head.worker)}" if head.worker else ""
    if page.running:
        named = ", ".join(map(one_line, page.running[:_MOST_NAMED]))
        more = f" and {len(page.running) - _MOST_NAMED} more" if page.running[_MOST_NAMED:] else ""
        return f"At work{on} in {named}{more}."
    ended = [row.ended_at for row in page.rows if row.ended_at is not None]
    if not page.is_last or not ended:
        return f"At work{on}."
    last = page.rows[-1]
    since = lasting(max(0.0, (head.now - max(ended)) / 1e6))
    return f"At work{on}; step {one_line(last.key)} ended {since} ago."


def _waits(head: Head, page: StepPage) -> str:
    if not page.waits:
        return "It waits, and nothing says for what: a worker will look at it."
    first = page.waits[0]
    more = f", and {page.waiting - 1:,} more" if page.waiting > 1 else ""
    due = ""
    if first.due_at is not None:
        left = (first.due_at - head.now) / 1e6
        ahead = f"in {lasting(left)}" if left > 0 else f"due for {lasting(-left)}"
        due = f" until {at(as_datetime(first.due_at))} ({ahead})"
    return f"Waits for step {one_line(first.key)}{due}{more}."
