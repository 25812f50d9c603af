"""The page of one execution, its parts for live updates, and the whole of one value."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from tornado.web import HTTPError, authenticated

from polos.flower.execution.looks import Look, is_storable
from polos.flower.execution.seen import Seen, seen
from polos.flower.execution.steps import Step
from polos.flower.execution.values import failure_text_of, size_text, text_of
from polos.flower.page import PageHandler
from polos.model.inert import one_line
from polos.model.records import as_datetime
from polos.model.words import at, lasting
from polos.store.heads import OF_EXECUTION, OF_STEP

# What the address calls what the store calls otherwise.
_NAMES = {"output": "value", "error": "failure"}
# A value that is masked or indented may be longer than what is stored, but not without end.
_MOST_CHARACTERS = 16_000_000
_WITH_DAY = "%Y-%m-%d %H:%M:%S"


class ExecutionPage(PageHandler):
    """One execution."""

    @authenticated
    async def get(self, execution_id: str) -> None:
        """Show it, or the part that is asked for."""
        look = Look.of(self)
        found = await self._seen(execution_id, look)
        if found is None:
            self._missing(execution_id)
            return
        template = f"polos-execution-{look.part}.html" if look.part else "polos-execution.html"
        self.render(
            template,
            seen=found,
            execution=found.head.execution,
            here=Addresses(self, execution_id, found.look),
            moment=as_datetime,
            at=at,
            clock=clock_of(found),
            lasting=lasting,
            one_line=one_line,
            size_text=size_text,
            knows_task=self._task(execution_id) is not None,
            worker=found.head.worker or self._worker(execution_id),
        )

    async def _seen(self, execution_id: str, look: Look) -> Seen | None:
        if not is_storable(execution_id):
            return None
        store = await self.ask(self.served.store, self.project_id)
        return await self.ask(seen, self.served, store, execution_id, look)

    def _missing(self, execution_id: str) -> None:
        self.set_status(404)
        self.render(
            "polos-execution-missing.html",
            execution_id=one_line(execution_id),
            project_id=self.project_id,
        )

    def _task(self, execution_id: str) -> Any:
        """Its Celery task, if Flower has heard of it; Flower forgets all when it is restarted."""
        events = getattr(self.application, "events", None)
        return None if events is None else events.state.tasks.get(execution_id)

    def _worker(self, execution_id: str) -> str:
        """The worker that had it last, as far as Flower knows."""
        worker = getattr(self._task(execution_id), "worker", None)
        return str(getattr(worker, "hostname", None) or "")


class Addresses:
    """Links from a page of an execution to itself with another look, and to others."""

    def __init__(self, handler: PageHandler, execution_id: str, look: Look) -> None:
        self._handler = handler
        self._id = execution_id
        self._look = look
        # As it is in this page's own address.
        self._project = handler.get_query_argument("project", "")

    def to(self, execution_id: str) -> str:
        """Another execution."""
        return self._handler.execution_href(execution_id)

    def steps(self, which: str) -> str:
        """Other steps of this one."""
        return self._here(steps=which) + "#timeline"

    def view(self, by_order: bool) -> str:
        """The chart on the other kind of axis."""
        return self._here(steps=self._look.steps, view="order" if by_order else "") + "#timeline"

    def children(self, cursor: str) -> str:
        """More of its children."""
        return self._here(steps=self._look.steps, children=cursor) + "#family"

    def step(self, key: str) -> str:
        """One step with its values."""
        return self._here(step=key)

    def value(self, key: str | None, what: str) -> str:
        """The whole of one value."""
        return self._handler.href("polos_value", self._id, what=what, step=key)

    def input(self, step: Step) -> str:
        """The whole of what a step was given; of a child that is its payload."""
        if step.child is not None:
            return self._handler.href("polos_value", step.child.id, what="payload")
        return self.value(step.key, "input")

    def listed(self, by: str, text: str) -> str:
        """The list, narrowed to one session, user, tag or workflow."""
        if by == "workflow":
            return self._handler.href("polos_workflows", workflow=text)
        return self._handler.href("polos_workflows", by=by, text=text)

    def _here(self, **given: str) -> str:
        """Without its path, which the browser knows: a page has many of them."""
        if "view" not in given and self._look.by_order:
            given["view"] = "order"
        given["project"] = self._project
        return "?" + urlencode({key: value for key, value in given.items() if value}, safe=":")


def clock_of(found: Seen) -> Callable[[datetime | None], str]:
    """How moments of an execution are written: without the day where that is always the same."""
    execution = found.head.execution
    days = [execution.created_at, execution.finished_at or found.head.now]
    pattern = "%H:%M:%S" if len({as_datetime(it).date() for it in days}) == 1 else _WITH_DAY

    def clock(then: datetime | None) -> str:
        return f"{then:{pattern}}.{then.microsecond // 1000:03d}" if then else ""

    return clock


class ValuePage(PageHandler):
    """The whole of one value, as plain text."""

    @authenticated
    async def get(self, execution_id: str) -> None:
        """Show it."""
        step = self.get_query_argument("step", None, strip=False)
        what = self.get_query_argument("what", "")
        name = _NAMES.get(what, what)
        if name not in (OF_EXECUTION if step is None else OF_STEP):
            raise HTTPError(404, "No such value")
        if not is_storable(execution_id) or (step is not None and not is_storable(step)):
            raise HTTPError(404, "No such execution or step")
        text = await self._text(execution_id, step, name)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Content-Disposition", "inline")
        self.finish(text.encode("utf-8", "backslashreplace"))

    async def _text(self, execution_id: str, step: str | None, name: str) -> str:
        store = await self.ask(self.served.store, self.project_id)
        found, data = await self.ask(store.whole, execution_id, step, name)
        if not found or data is None:
            raise HTTPError(404, "There is no such value")
        made = failure_text_of if name == "failure" else text_of
        text = await self.ask(made, self.served, data)
        if len(text) > _MOST_CHARACTERS:
            text = f"{text[:_MOST_CHARACTERS]}\n… ({len(text):,} characters)"
        return text
