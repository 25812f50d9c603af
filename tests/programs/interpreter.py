"""The one workflow that runs all programs, and what its steps tell the test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from polos.definition.context import SyncWorkflowContext, WorkflowContext
from polos.definition.sync_steps import SyncSteps
from polos.definition.workflow import workflow
from polos.definition.workflow_class import Workflow
from polos.errors import StepExecutionError
from tests.programs.syntax import (
    Child,
    Draw,
    Fail,
    First,
    Gather,
    Group,
    InOrder,
    Limited,
    Loop,
    Node,
    Seq,
    Step,
    Try,
    Wait,
    from_data,
    to_data,
)


class Watcher(Protocol):
    """What steps' functions tell the test, and ask of it."""

    def called(self, execution_id: str, key: str, given: Any) -> None:
        """The function of a step begins; a worker may die here."""

    def point(self, name: str) -> None:
        """A place at which a worker may die."""

    def attempts_recorded(self, execution_id: str, key: str) -> int:
        """How many failed attempts of a step are recorded."""


_watchers: list[Watcher] = []


def watch(watcher: Watcher) -> None:
    """Let this one watch all steps from now on."""
    _watchers[:] = [watcher]


@workflow(id="program")
async def program_workflow(ctx: WorkflowContext, payload: dict[str, Any]) -> Any:
    machine = Machine(ctx.execution_id, ctx.step, program_workflow)
    return await machine.run(from_data(payload["program"]), "top", payload["given"])


@workflow(id="plain_program")
def plain_program_workflow(ctx: SyncWorkflowContext, payload: dict[str, Any]) -> Any:
    machine = Machine(ctx.execution_id, Awaited(ctx.step), plain_program_workflow)
    running = machine.run(from_data(payload["program"]), "top", payload["given"])
    try:
        running.send(None)
    except StopIteration as ended:
        return ended.value
    raise AssertionError("a plain program never suspends")


class Awaited:
    """The steps of a plain ``def`` workflow as a ``Machine`` wants them: they return at once."""

    def __init__(self, steps: SyncSteps) -> None:
        self._steps = steps

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        function = getattr(self._steps, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return call


class Machine:
    """Runs the nodes of one execution's program.

    Args:
        execution_id: the execution.
        step: its ``ctx.step``.
        own: the workflow that it is one of, and its children as well.
    """

    def __init__(self, execution_id: str, step: Any, own: Workflow[Any, Any]) -> None:
        self._step = step
        self._id = execution_id
        self._own = own
        self._rules: dict[type[Node], Callable[[Any, str, Any], Coroutine[Any, Any, Any]]] = {
            Step: self._run_step,
            Wait: self._wait,
            Draw: self._draw,
            Fail: self._fail,
            Seq: self._seq,
            Loop: self._loop,
            Try: self._try,
            Gather: self._gather,
            Limited: self._limited,
            Group: self._group,
            First: self._first,
            InOrder: self._in_order,
            Child: self._child,
        }

    async def run(self, node: Node, path: str, given: Any) -> Any:
        """What a node comes to; ``given`` is what came before it."""
        _watchers[0].point("code")
        return await self._rules[type(node)](node, path, given)

    def _tasks(self, node: Any, path: str, given: Any) -> list[asyncio.Task[Any]]:
        return [
            asyncio.create_task(self.run(part, f"{path}.{n}", given))
            for n, part in enumerate(node.parts)
        ]

    async def _run_step(self, node: Step, path: str, given: Any) -> Any:
        return await self._step.run(
            path,
            self._function(node, path),
            given,
            max_retries=node.retries,
            base_delay=node.delay / 1000,
            max_delay=node.delay / 1000,
        )

    def _function(self, node: Step, path: str) -> Callable[[Any], Any]:
        watcher = _watchers[0]

        def begin(given: Any) -> None:
            watcher.called(self._id, path, given)
            if node.fails and watcher.attempts_recorded(self._id, path) < node.fails:
                raise ValueError(f"no {node.value}")

        def plain(given: Any) -> int:
            begin(given)
            watcher.point("end of a step")
            return node.value

        async def at_once(given: Any) -> int:
            return plain(given)

        async def sleeps(given: Any) -> int:
            begin(given)
            await asyncio.sleep(0.001 * (node.value % 4))
            watcher.point("end of a step")
            return node.value

        return {"plain": plain, "async": at_once, "sleeps": sleeps}[node.how]

    async def _wait(self, node: Wait, path: str, given: Any) -> None:
        await self._step.wait_for(path, seconds=node.millis / 1000)

    async def _draw(self, node: Draw, path: str, given: Any) -> Any:
        return await getattr(self._step, node.what)(path)

    async def _fail(self, node: Fail, path: str, given: Any) -> None:
        raise RuntimeError(node.text)

    async def _seq(self, node: Seq, path: str, given: Any) -> list[Any]:
        found: list[Any] = []
        for n, part in enumerate(node.parts):
            found.append(await self.run(part, f"{path}.{n}", found[-1] if found else given))
        return found

    async def _loop(self, node: Loop, path: str, given: Any) -> list[Any]:
        return [await self.run(node.body, f"{path}#{n}", given) for n in range(node.times)]

    async def _try(self, node: Try, path: str, given: Any) -> list[Any]:
        try:
            return ["ok", await self.run(node.body, f"{path}.body", given)]
        except (StepExecutionError, RuntimeError) as error:
            if node.handler is None:
                raise
            text = str(error)
            return ["caught", text, await self.run(node.handler, f"{path}.except", text)]
        finally:
            if node.final is not None:
                await self.run(node.final, f"{path}.finally", given)

    async def _gather(self, node: Gather, path: str, given: Any) -> list[Any]:
        tasks = self._tasks(node, path, given)
        found = await asyncio.gather(*tasks, return_exceptions=node.collect)
        return [_value(one) for one in found]

    async def _limited(self, node: Limited, path: str, given: Any) -> list[Any]:
        limit = asyncio.Semaphore(node.most)

        async def one(n: int, part: Node) -> Any:
            async with limit:
                return await self.run(part, f"{path}.{n}", given)

        runs = [one(n, part) for n, part in enumerate(node.parts)]
        return [_value(found) for found in await asyncio.gather(*runs, return_exceptions=True)]

    async def _group(self, node: Group, path: str, given: Any) -> list[Any]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self.run(part, f"{path}.{n}", given))
                    for n, part in enumerate(node.parts)
                ]
        except ExceptionGroup as errors:
            raise RuntimeError("; ".join(str(error) for error in errors.exceptions)) from None
        return [task.result() for task in tasks]

    async def _first(self, node: First, path: str, given: Any) -> list[Any]:
        tasks = self._tasks(node, path, given)
        try:
            done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            won = [(n, task.result()) for n, task in enumerate(tasks) if task in done]
            return [list(one) for one in won]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _in_order(self, node: InOrder, path: str, given: Any) -> list[Any]:
        async def numbered(n: int, part: Node) -> list[Any]:
            try:
                return [n, await self.run(part, f"{path}.{n}", given)]
            except (StepExecutionError, RuntimeError) as error:
                return [n, _value(error)]

        # Tasks: as_completed begins coroutines in an order that changes from run to run.
        runs = [asyncio.create_task(numbered(n, part)) for n, part in enumerate(node.parts)]
        return [await one for one in asyncio.as_completed(runs)]

    async def _child(self, node: Child, path: str, given: Any) -> Any:
        payload = {"program": to_data(node.program), "given": given}
        if node.waits:
            return await self._step.invoke_and_wait(path, self._own, payload)
        handle = await self._step.invoke(path, self._own, payload)
        return handle.id


def _value(found: Any) -> Any:
    if isinstance(found, BaseException):
        if not isinstance(found, Exception):
            raise found
        return ["error", str(found)]
    return found
