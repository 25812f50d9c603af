"""What type checkers infer for the public API. Checked by mypy and pyright, never run."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable
from functools import partial
from typing import Any, assert_type

from pydantic import BaseModel

from polos.client.remote import RemoteClient
from polos.definition.batch import BatchWorkflowInput
from polos.definition.context import SyncWorkflowContext, WorkflowContext
from polos.definition.handle import ExecutionHandle
from polos.definition.workflow import Workflow, workflow
from polos.model.listing import ExecutionPage, ExecutionSummary
from polos.model.ports import ProjectClient, WorkflowClient
from polos.model.records import Execution
from polos.model.states import Status
from polos.worker.client import PolosClient
from polos.worker.embedded import Polos


class Order(BaseModel):
    id: str


class Parcel(BaseModel):
    weight: float


class Receipt(BaseModel):
    number: int


async def fetch(url: str, depth: int = 1) -> bytes:
    return url.encode() * depth


def count(text: str) -> int:
    return len(text)


def promised(url: str) -> Awaitable[bytes]:
    return fetch(url)


def debit(connection: Any, account: str, amount: int) -> int:
    return amount


class Gateway:
    async def charge(self, order: Order) -> Receipt:
        return Receipt(number=len(order.id))

    def total(self, order: Order) -> float:
        return float(len(order.id))

    async def __call__(self) -> Receipt:
        return Receipt(number=1)


@workflow
async def with_payload(ctx: WorkflowContext, payload: Order) -> Receipt:
    return Receipt(number=len(payload.id))


@workflow
async def without_payload(ctx: WorkflowContext) -> int:
    return 1


@workflow()
async def with_dict(ctx: WorkflowContext, payload: dict[str, Any]) -> str:
    return str(payload)


@workflow(id="optional", queue="slow", retries=2, celery={"rate_limit": "10/m"}, version="2")
async def with_optional(ctx: WorkflowContext, payload: Order | None = None) -> Receipt | None:
    return None


@workflow(id="either")
async def with_union(ctx: WorkflowContext, payload: Order | Parcel) -> None:
    return None


@workflow
def plain(ctx: SyncWorkflowContext, payload: Order) -> Receipt:
    return Receipt(number=len(payload.id))


@workflow(timeout_seconds=60)
def plain_without_payload(ctx: SyncWorkflowContext) -> list[Receipt]:
    return []


def workflows() -> None:
    assert_type(with_payload, Workflow[Order, Receipt])
    assert_type(without_payload, Workflow[None, int])
    assert_type(with_dict, Workflow[dict[str, Any], str])
    assert_type(with_optional, Workflow[Order | None, Receipt | None])
    assert_type(with_union, Workflow[Order | Parcel, None])
    assert_type(plain, Workflow[Order, Receipt])
    assert_type(plain_without_payload, Workflow[None, list[Receipt]])
    assert_type(with_payload.id, str)
    assert_type(with_payload.queue, str | None)
    assert_type(with_payload.is_async, bool)
    assert_type(with_payload.decode_result(b""), Receipt)
    general: Workflow[Order, BaseModel] = with_payload
    assert_type(general.id, str)


async def calls(client: WorkflowClient, order: Order) -> None:
    assert_type(await with_payload.run(client, order), Receipt)
    assert_type(await with_payload.run(client, {"id": "a"}, timeout=None), Receipt)
    assert_type(await with_payload.run(payload=order, idempotency_key="a"), Receipt)
    assert_type(await without_payload.run(client), int)
    assert_type(await without_payload.run(), int)
    assert_type(await with_dict.run(client, {"a": 1}), str)
    assert_type(await with_optional.run(client), Receipt | None)
    assert_type(await with_union.run(client, Parcel(weight=1)), None)
    assert_type(await plain.run(client, order), Receipt)
    assert_type(await with_payload.run(order), Receipt)
    assert_type(await with_dict.run({"a": 1}), str)
    assert_type(await with_union.run(Parcel(weight=1)), None)
    assert_type(with_payload.run_sync(client, order, timeout=5), Receipt)
    assert_type(plain_without_payload.run_sync(), list[Receipt])


async def by_way_of_a_server(order: Order) -> None:
    client = PolosClient(project_id="shop", api_url="http://localhost:8080", api_key="key")
    assert_type(await with_payload.run(client, order), Receipt)
    assert_type(client.remote, RemoteClient | None)
    ways: list[ProjectClient] = [client.bound.client]
    if client.remote is not None:
        ways.append(client.remote)
    assert_type(ways[0].get("id"), Execution)


async def batches(client: PolosClient, order: Order) -> None:
    inputs = [BatchWorkflowInput("with_payload", order), BatchWorkflowInput("plain", {"a": 1})]
    assert_type(await client.batch_invoke(inputs), list[ExecutionHandle[Any]])


async def control(client: PolosClient, order: Order) -> None:
    page = await client.list_executions("flow", status="failed", tag="vip", limit=10)
    assert_type(page, ExecutionPage)
    assert_type(page.items, tuple[ExecutionSummary, ...])
    assert_type(page.next_cursor, str | None)
    assert_type(page.items[0].status, Status)
    assert_type(page.items[0].to_dict(), dict[str, Any])
    await client.list_executions(status=[Status.QUEUED, "running"], cursor=page.next_cursor)
    assert_type(await client.get_execution("id"), dict[str, Any])
    assert_type(await client.cancel_execution("id"), bool)
    assert_type(await client.retry("id"), ExecutionHandle[Any])
    assert_type(await client.fork("id", from_step="charge", payload=order), ExecutionHandle[Any])
    assert_type(await client.prune(older_than_days=30), int)
    tagged = BatchWorkflowInput("plain", order, tags=["vip"])
    assert_type(await client.batch_invoke([tagged]), list[ExecutionHandle[Any]])
    assert_type(await with_payload.run(client, order, tags=("a", "b")), Receipt)
    await client.invoke("plain", order, tags=["vip"], run_timeout_seconds=5)


async def handles(client: WorkflowClient, order: Order) -> None:
    handle = await with_payload.invoke(client, order, run_timeout_seconds=60)
    assert_type(handle, ExecutionHandle[Receipt])
    assert_type(with_payload.start(client, order), ExecutionHandle[Receipt])
    assert_type(with_payload.start(order, connection=object()), ExecutionHandle[Receipt])
    assert_type(await with_payload.invoke({"id": "a"}), ExecutionHandle[Receipt])
    assert_type(await handle.result(), Receipt)
    assert_type(await handle.result(timeout=1.5), Receipt)
    assert_type(handle.result_sync(), Receipt)
    assert_type(handle.status(), Status)
    assert_type(await handle.get(), dict[str, Any])
    assert_type(await handle.cancel(client), bool)
    assert_type(handle.to_dict(), dict[str, Any])
    assert_type(handle.created_at, dt.datetime)
    assert_type(handle.parent_execution_id, str | None)


async def steps(ctx: WorkflowContext, order: Order, gateway: Gateway) -> None:
    assert_type(await ctx.step.run("async", fetch, "u", depth=2), bytes)
    assert_type(await ctx.step.run("sync", count, "text", max_retries=5, base_delay=0.5), int)
    assert_type(await ctx.step.run("lambda", lambda: f"Hello, {order.id}!"), str)
    assert_type(await ctx.step.run("async lambda", lambda: fetch("u")), bytes)
    assert_type(await ctx.step.run("partial", partial(count, "text")), int)
    assert_type(await ctx.step.run("async partial", partial(fetch, "u"), timeout=5), bytes)
    assert_type(await ctx.step.run("promise", promised, "u"), bytes)
    assert_type(await ctx.step.run("method", gateway.charge, order), Receipt)
    assert_type(await ctx.step.run("sync method", gateway.total, order), float)
    assert_type(await ctx.step.run("callable", gateway), Receipt)
    assert_type(await ctx.step.run("class", Receipt, number=1), Receipt)
    assert_type(await ctx.step.run("thread", lambda: asyncio.to_thread(count, "text")), int)
    await ctx.step.run("some", fetch, "u", retry_on=OSError, no_retry_on=(KeyError, ValueError))
    await ctx.step.wait_for("pause", minutes=1, seconds=30)
    await ctx.step.wait_until("opening", dt.datetime(2030, 1, 1))
    assert_type(await ctx.step.transaction("debit", debit, "a", amount=1), int)
    assert_type(await ctx.step.uuid("uuid"), str)
    assert_type(await ctx.step.random("random"), float)
    assert_type(await ctx.step.now("now"), int)
    assert_type(await ctx.step.task("task", order), Any)
    assert_type(await ctx.step.task("limited", order, timeout=60, resend_after=1.5), Any)


def tasks(order: Order) -> None:
    assert_type(with_payload.delay(order), Any)
    assert_type(with_payload.delay(id="a1"), Any)
    assert_type(with_payload.apply_async((order,), countdown=5, expires=60), Any)
    assert_type(with_payload.s(order), Any)
    assert_type(with_payload.si({"id": "a1"}), Any)
    assert_type(with_payload.signature((order,), priority=3), Any)
    assert_type(with_payload.AsyncResult("id"), Any)


async def children(ctx: WorkflowContext, order: Order) -> None:
    assert_type(await ctx.step.invoke_and_wait("a", with_payload, order), Receipt)
    assert_type(await ctx.step.invoke_and_wait("b", with_payload, {"id": "a"}), Receipt)
    assert_type(await ctx.step.invoke_and_wait("c", without_payload), int)
    assert_type(await ctx.step.invoke_and_wait("d", plain, order, queue="slow"), Receipt)
    assert_type(await ctx.step.invoke_and_wait("e", with_union, Parcel(weight=1)), None)
    assert_type(await ctx.step.invoke_and_wait("f", "by_id", order), Any)
    handle = await ctx.step.invoke("g", with_payload, order, run_timeout_seconds=5)
    assert_type(handle, ExecutionHandle[Receipt])
    assert_type(await ctx.step.invoke("h", "by_id"), ExecutionHandle[Any])


def sync_steps(ctx: SyncWorkflowContext, order: Order) -> None:
    assert_type(ctx.step.run("async", fetch, "u", depth=2), bytes)
    assert_type(ctx.step.run("sync", count, "text"), int)
    assert_type(ctx.step.run("lambda", lambda: f"Hello, {order.id}!"), str)
    assert_type(ctx.step.run("async lambda", lambda: fetch("u")), bytes)
    assert_type(ctx.step.run("partial", partial(fetch, "u")), bytes)
    assert_type(ctx.step.transaction("debit", debit, "a", 1, max_retries=5, jitter=0.1), int)
    assert_type(ctx.step.wait_for("pause", hours=1), None)
    assert_type(ctx.step.uuid("uuid"), str)
    assert_type(ctx.step.random("random"), float)
    assert_type(ctx.step.now("now"), int)
    assert_type(ctx.step.task("task", order, timeout=60), Any)
    assert_type(ctx.step.invoke_and_wait("child", with_payload, order), Receipt)
    assert_type(ctx.step.invoke_and_wait("by id", "some_id"), Any)
    assert_type(ctx.step.invoke("handle", plain, order), ExecutionHandle[Receipt])


def context(ctx: WorkflowContext) -> None:
    assert_type(ctx.workflow_id, str)
    assert_type(ctx.execution_id, str)
    assert_type(ctx.session_id, str | None)
    assert_type(ctx.retry_count, int)
    assert_type(ctx.created_at, dt.datetime)
    assert_type(ctx.workflow_type, str)


def bound_to_an_app(app: Any) -> None:
    polos = Polos(app, workflows=[with_payload])
    assert_type(polos.app_name, str | None)
    assert_type(polos.runs("with_payload"), bool)
    polos.set_default()
    polos.close()
