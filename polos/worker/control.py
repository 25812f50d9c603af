"""What a client does with executions that are there: find, look at, end and repeat them."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from datetime import datetime
from typing import Any

from polos.codec import encode_payload
from polos.definition.handle import ExecutionHandle
from polos.definition.listing import Statuses, make_query
from polos.definition.names import check_execution_id, check_key
from polos.definition.progress import details
from polos.definition.registry import registry
from polos.model.listing import ExecutionPage
from polos.model.ports import ProjectClient
from polos.model.records import Execution
from polos.model.settings import LONGEST_RETENTION

_DAY = 86_400.0


class Control:
    """The part of a client that is about executions which somebody has started."""

    @property
    @abstractmethod
    def max_value_bytes(self) -> int:
        """The largest encoded value that is kept."""

    @property
    @abstractmethod
    def _way(self) -> ProjectClient:
        """What asks the store, or the server."""

    @abstractmethod
    def _handle(self, execution: Execution) -> ExecutionHandle[Any]:
        """The handle of an execution."""

    async def list_executions(  # noqa: PLR0913
        self,
        workflow_id: str | None = None,
        status: Statuses = None,
        session_id: str | None = None,
        user_id: str | None = None,
        tag: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        parent_execution_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> ExecutionPage:
        """The executions of this project that fit all that is given, newest first.

        A page is found by where the one before it ended: what starts meanwhile moves nothing, and
        the last page costs what the first does.

        Example::

            page = await client.list_executions(status=["queued", "running"], limit=100)
            while page.next_cursor:
                page = await client.list_executions(
                    status=["queued", "running"], limit=100, cursor=page.next_cursor
                )

        Args:
            workflow_id: those of this workflow.
            status: those in this state, or in one of several.
            session_id: those with this label.
            user_id: those with this label.
            tag: those with this tag.
            created_after: those that were written at this moment or later; without a zone it
                means UTC.
            created_before: those that were written before this moment.
            parent_execution_id: those that a step of this execution has started.
            limit: how many on a page, from 1 to 1000.
            cursor: ``next_cursor`` of the page before; the same filters belong to it.

        Raises:
            ValueError: one of them can't be; the text names it.
            TypeError: a time is no datetime.
        """
        query = make_query(
            workflow_id=workflow_id,
            status=status,
            session_id=session_id,
            user_id=user_id,
            tag=tag,
            created_after=created_after,
            created_before=created_before,
            parent_execution_id=parent_execution_id,
            limit=limit,
            cursor=cursor,
        )
        return await asyncio.to_thread(self._way.list_executions, query)

    async def get_execution(self, execution_id: str) -> dict[str, Any]:
        """An execution as plain data, with all its steps.

        Example::

            found = await client.get_execution(handle.id)
            for step in found["steps"]:
                print(step["key"], step["status"], step["attempts"], step["error"])

        Args:
            execution_id: the execution.

        Returns:
            What ``handle.get()`` gives, and

            - ``attempts`` (how often a worker took it), ``retried``, ``forked_from``, ``queue``,
              ``priority``, ``deployment_id``, ``tags``, and the times ``wake_at``, ``deadline_at``
              and ``cancel_requested_at``;
            - ``steps``, in the order in which the execution met their ends, then what it waits for:
              dicts with ``key``, ``kind``, ``status`` (``completed``, ``failed``, ``waiting``, or
              ``retrying`` in the pause before another attempt), ``attempts``, ``started_at``,
              ``finished_at``, ``due_at``, ``error``, ``error_type``, ``input`` (what it
              was given: ``args`` and ``kwargs``, cut where they are long), ``value``, ``history``
              (the last 20 attempts that failed before: ``at``, ``error_type``, ``error``) and
              ``child_execution_id``. A step whose function runs at this moment is not among them:
              it is recorded when it has ended;
            - ``executing``: the keys of such steps, of those that take longer than some seconds;
              ``worker``: the name of the Celery worker that runs it;
            - ``children``: dicts with ``id``, ``workflow_id``, ``status``, ``step_key`` and times.

            Times are ISO 8601 texts in UTC. What isn't there is None.

        Raises:
            ExecutionNotFound: there is none of that id, or it was pruned.
        """
        asked = check_execution_id(execution_id)
        return details(*await asyncio.to_thread(self._way.progress, asked))

    async def cancel_execution(self, execution_id: str) -> bool:
        """Cancel an execution and its children, but not its parents.

        One that runs is told, and may clean up; the end of its steps is not waited for.

        Example::

            await client.cancel_execution(handle.id)

        Args:
            execution_id: the execution.

        Returns:
            False where it had ended already.

        Raises:
            ExecutionNotFound: there is none of that id, or it was pruned.
        """
        return await asyncio.to_thread(self._way.cancel, check_execution_id(execution_id))

    async def retry(self, execution_id: str) -> ExecutionHandle[Any]:
        """Try a failed execution again, under its id, from where it failed.

        What has succeeded is not done again. The step whose error ended it runs again, with all its
        attempts; a failed child that it waited for is retried in the same way. Its ``run_timeout``
        begins anew. A parent that has seen it fail does not hear of it: retry the parent instead.

        Example::

            await (await client.retry(execution_id)).result()

        Args:
            execution_id: the execution.

        Raises:
            ExecutionNotFound: there is none of that id, or it was pruned.
            IllegalTransition: it has not failed; the text says what to do instead.
        """
        asked = check_execution_id(execution_id)
        return self._handle(await asyncio.to_thread(self._way.retry, asked))

    async def fork(
        self, execution_id: str, from_step: str | None = None, payload: Any = None
    ) -> ExecutionHandle[Any]:
        """Start a new execution of the same workflow that begins with another one's steps.

        What the other one had recorded before ``from_step`` is copied, values and all, and not done
        again; the children that it had started are not started again. It may have ended or not.

        Example::

            again = await client.fork(execution_id, from_step="charge")
            again.id != execution_id

        Args:
            execution_id: whose steps it begins with.
            from_step: the first step that runs again; None runs all of them.
            payload: another payload; None for the same.

        Raises:
            ExecutionNotFound: there is none of that id, or it was pruned.
            StepNotFound: it has no such step; the text names those it has.
            InvalidPayload: the payload doesn't fit.
        """
        if from_step is not None:
            check_key(from_step)
        asked = check_execution_id(execution_id)
        return self._handle(await asyncio.to_thread(self._fork, asked, from_step, payload))

    async def prune(self, older_than_days: float) -> int:
        """Delete what ended so many days ago: executions with their steps, in small batches.

        One whose parent, root or child has not ended is kept until then.

        Example::

            await client.prune(older_than_days=30)

        Args:
            older_than_days: days since their end; parts of a day too, and 0 for all that ended.

        Returns:
            How many executions were deleted.

        Raises:
            ValueError: it is no number, negative, or over a hundred years.
        """
        days: Any = older_than_days
        if not (isinstance(days, int | float) and 0 <= days <= LONGEST_RETENTION):  # nor is nan
            raise ValueError(
                f"older_than_days is {older_than_days!r}; pass a number from 0 to "
                f"{LONGEST_RETENTION}"
            )
        return await asyncio.to_thread(self._way.prune, older_than_days * _DAY)

    def _fork(self, execution_id: str, from_step: str | None, payload: Any) -> Execution:
        client, data = self._way, None
        if payload is not None:
            limit = self.max_value_bytes
            known = registry.get(client.get(execution_id).workflow_id)
            data = known.encode_payload(payload, limit) if known else encode_payload(payload, limit)
        return client.fork(execution_id, from_step, data)
