"""Celery tasks as steps of an attempt: sent, waited for, sent again, given up.

The wait of a task is committed before the task is sent, and then marked as sent. An attempt that
finds it unmarked sends the task, again if a crash came between the two. A timeout is a completion
from outside, made by whoever notices it, so that a task's end and its timeout can't both count.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from polos.codec import failure_of, input_of
from polos.engine.attempt import Attempt, value_of
from polos.engine.branches import AT_ONCE
from polos.engine.signals import is_own_exit
from polos.errors import StepMismatch
from polos.model.ports import TaskRequest, TaskSender, TaskSending
from polos.model.records import Checkpoint, Execution, Failure, Kind, Micros, Wait, micros

log = logging.getLogger("polos.step")

# While the broker is away, a task is tried to be sent again after so many seconds.
_BROKER_PAUSE = 5.0
# Of a signature, what people are shown.
_SHOWN = ("task", "args", "kwargs")


@dataclass(slots=True)
class _Out:
    """A task that a branch waits for."""

    request: TaskRequest
    wait: Wait
    stored: bool

    @property
    def ends_at(self) -> Micros | None:
        """When its time is over."""
        return self._after(self.request.timeout)

    @property
    def due(self) -> Micros | None:
        """When there is something to do about it; None when it is only to be waited for."""
        if not self.wait.attempts:
            return AT_ONCE
        return min((it for it in (self._again_at, self.ends_at) if it is not None), default=None)

    @property
    def _again_at(self) -> Micros | None:
        if self.request.resend_after is None:
            return None
        # One that was sent by code that did not ask for it has no such moment.
        return self.wait.due_at or self._after(self.request.resend_after)

    def _after(self, seconds: float | None) -> Micros | None:
        if seconds is None or self.wait.started_at is None:
            return None
        return Micros(self.wait.started_at + micros(seconds))


class TaskWaits:
    """The tasks that the branches of one attempt wait for.

    Args:
        attempt: the attempt.
        sender: publishes them.
    """

    def __init__(self, attempt: Attempt, sender: TaskSender) -> None:
        self._attempt = attempt
        self._branches = attempt.branches
        self._journal = attempt.journal
        self._sender = sender
        self._outs: dict[str, _Out] = {}
        attempt.see_to_tasks = self._see_to

    async def run(self, request: TaskRequest) -> Any:
        """The value of a task, or the values of a group's."""
        key = request.key
        members = self._sender.split(key, request.signature)
        if members is None:
            return await self._one(request)
        if self._branches.ask(key, Kind.TASK) is not None:
            raise StepMismatch(key, "a single task", "a group of tasks")
        branches = [
            asyncio.ensure_future(self._one(replace(request, key=f"{key}[{n}]", signature=member)))
            for n, member in enumerate(members)
        ]
        try:
            return list(await asyncio.gather(*branches))
        finally:
            # Once one has failed the others don't matter; they run on, as they would in Celery.
            for branch in branches:
                branch.cancel()

    async def _one(self, request: TaskRequest) -> Any:
        key = request.key
        if self._branches.ask(key, Kind.TASK) is not None:
            return value_of(await self._branches.replayed(key))
        try:
            await self._branches.live()
            return value_of(await self._ended(request))
        except asyncio.CancelledError:
            stored = self._journal.stored_waits.get(key)
            if self._attempt.cancelling and stored is not None:
                self._sender.revoke([stored.target_id or ""])
            raise

    async def _ended(self, request: TaskRequest) -> Checkpoint:
        key = request.key
        stored = self._journal.stored_waits.get(key)
        out = _Out(request, stored or self._new_wait(request), stored is not None)
        self._outs[key] = out
        self._schedule(out, out.due)
        try:
            return await self._branches.outside(out.wait)
        finally:
            self._outs.pop(key, None)
            self._branches.dues.pop(key, None)

    def _new_wait(self, request: TaskRequest) -> Wait:
        return Wait(
            request.key,
            Kind.TASK,
            target_id=task_id(self._journal.execution, request.key),
            started_at=self._attempt.clock.at_most(),
            input=self._input(request.signature),
        )

    def _input(self, signature: Any) -> bytes | None:
        if not self._attempt.settings.record_inputs or not isinstance(signature, Mapping):
            return None
        return input_of((), {name: signature[name] for name in _SHOWN if signature.get(name)})

    def _schedule(self, out: _Out, due: Micros | None) -> None:
        """Have it seen to at a moment, if its branch still waits for it."""
        if due is not None and self._awaits(out):
            self._branches.dues[out.request.key] = due

    def _awaits(self, out: _Out) -> bool:
        return self._outs.get(out.request.key) is out

    def _see_to(self) -> bool:
        """Send or give up the tasks for which it is time; False where there are none."""
        now = self._attempt.clock.at_least()
        due = [self._outs[key] for key, moment in self._branches.dues.items() if moment <= now]
        if not due:
            return False
        for out in due:
            del self._branches.dues[out.request.key]
        late = [out for out in due if out.ends_at is not None and out.ends_at <= now]
        for out in late:
            self._give_up(out)
        self._begin_sending([out for out in due if out not in late])
        return True

    def _give_up(self, out: _Out) -> None:
        seconds = out.request.timeout or 0.0
        reason = f"it had not ended within its timeout of {seconds:g} s"
        if not out.stored:
            self._store([out])
        self._fail(out, Failure(reason, "TimeoutError", out.request.key, 1))

    def _begin_sending(self, outs: Sequence[_Out]) -> None:
        if not outs:
            return
        self._store([out for out in outs if not out.stored])
        self._mark([out for out in outs if out.wait.attempts])
        self._attempt.working += 1
        sending = self._branches.call_soon(partial(self._send, outs))
        sending.add_done_callback(self._check_sending)

    def _store(self, outs: Sequence[_Out]) -> None:
        if not outs:
            return
        self._journal.keep_waits([out.wait for out in outs])
        for out in outs:
            out.stored = True

    def _send(self, outs: Sequence[_Out]) -> None:
        # No loop runs in this thread now: an eager task runs here, which may need one of its own.
        try:
            sent = [out for out in outs if self._awaits(out) and self._is_sent(out)]
            self._mark([out for out in sent if not out.wait.attempts])
        finally:
            self._attempt.working -= 1
        for out in sent:
            self._schedule(out, out.due)

    def _check_sending(self, sending: asyncio.Future[Any]) -> None:
        """No branch awaits it: without an abort nobody would hear of its error."""
        error = None if sending.cancelled() else sending.result()[1]
        if error is not None:
            self._attempt.abort(error)

    def _is_sent(self, out: _Out) -> bool:
        execution, key = self._journal.execution, out.request.key
        target = out.wait.target_id or ""
        try:
            taken = self._sender.send(TaskSending(execution.id, key, target, out.request.signature))
        except BaseException as error:  # what the user's task, or Celery on its behalf, may raise
            if not isinstance(error, Exception) and not is_own_exit(error):
                raise
            self._fail(out, failure_of(error, key, 1))
            return False
        if not taken:
            later = Micros(self._attempt.clock.at_most() + micros(_BROKER_PAUSE))
            self._schedule(out, min(later, out.ends_at or later))
            return False
        log.info("execution=%s step=%s: task %s sent", execution.id, key, target)
        return True

    def _mark(self, outs: Sequence[_Out]) -> None:
        """Note that they are sent, and when they are to be sent again."""
        if not outs:
            return
        now = self._attempt.clock.at_most()
        for out in outs:
            pause = out.request.resend_after
            again = None if pause is None else Micros(now + micros(pause))
            out.wait = replace(out.wait, attempts=out.wait.attempts + 1, due_at=again)
        self._journal.sent([out.wait for out in outs])

    def _fail(self, out: _Out, failure: Failure) -> None:
        self._journal.complete_task(out.wait, failure)
        self._attempt.look_outside()


def task_id(execution: Execution, key: str) -> str:
    """The Celery task's id of a step: the same however often it is sent."""
    # A retry of the whole execution is to run the task again, and not to hear of the last one.
    retried = f"\0{execution.retried}" if execution.retried else ""
    return str(uuid5(NAMESPACE_OID, f"{execution.id}\0task\0{key}{retried}"))


class NoTasks:
    """Where there is no Celery app to send tasks with."""

    def split(self, key: str, signature: Any) -> Sequence[Any] | None:
        """Raise TypeError."""
        raise TypeError(f"step {key!r} is a Celery task, and no Celery app is here to send it")

    def send(self, sending: TaskSending) -> bool:
        """Send nothing."""
        return False

    def revoke(self, task_ids: Sequence[str]) -> None:
        """Revoke nothing."""
