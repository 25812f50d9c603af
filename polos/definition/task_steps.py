"""Celery tasks as steps."""

from __future__ import annotations

from typing import Any

from polos.definition.child_steps import ChildSteps
from polos.definition.names import check_key, check_seconds
from polos.model.ports import TaskRequest


class TaskSteps(ChildSteps):
    """The steps that are Celery tasks."""

    async def task(
        self,
        key: str,
        signature: Any,
        timeout: float | None = None,
        resend_after: float | None = None,
    ) -> Any:
        """Send an existing Celery task, wait durably for its end, and give what it returns.

        The task is sent under one task id and runs wherever its messages go, with its own retries,
        limits and routes. Meanwhile the execution waits in the store and holds nothing. No result
        backend is needed, except where Celery itself needs one, for chords.

        It is sent at least once: again, under the same id, only if the worker dies between sending
        it and noting that. ``task_acks_late`` and ``reject_on_worker_lost`` decide what becomes of
        a task whose own worker dies, as ever.

        Example::

            receipt = await ctx.step.task("charge", charge_card.s(42), timeout=3600)
            thumbs = await ctx.step.task("thumbs", group(thumbnail.s(n) for n in range(5)))

        Args:
            key: the step's key. The members of a group get ``key[0]``, ``key[1]`` and so on.
            signature: ``task.s(…)``, a chain, a group or a chord. Of a chain and of a chord the
                last task's value counts; of a group all values, in its order.
            timeout: seconds from the step's begin after which it fails; None is no limit. The task
                itself is not stopped; what it returns later is ignored.
            resend_after: seconds after which a task that has not ended is sent again, under the
                same id, and again after that. For tasks that may run twice, where messages may be
                lost; None sends it once.

        Returns:
            The task's value as Celery's JSON has it: tuples and sets are lists.

        Raises:
            StepExecutionError: the task failed, was revoked or expired, took longer than
                ``timeout``, or returned what can't be kept; with the task's own ``error_type``.
            TypeError: ``signature`` is none, or ends in a group behind other tasks.
            ValueError: the key or a number is not acceptable.
            DuplicateStepKey: the key was used before in this execution.
        """
        request = TaskRequest(
            check_key(key),
            signature,
            check_seconds("timeout", timeout),
            check_seconds("resend_after", resend_after),
        )
        return await self._effects.task(request)
