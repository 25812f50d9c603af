"""What a client does with executions that are there, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from pydantic import BaseModel

from polos import (
    BatchWorkflowInput,
    ExecutionHandle,
    ExecutionNotFound,
    ExecutionPage,
    IllegalTransition,
    InvalidPayload,
    Polos,
    PolosClient,
    StepExecutionError,
    StepNotFound,
    WorkflowContext,
    workflow,
)
from polos.definition.registry import registry
from polos.model.states import Status
from tests.support.servers import RedisServer

T = TypeVar("T")


class Order(BaseModel):
    number: int
    fails: bool = False


def ship(order: Order, retry: int) -> str:
    if order.fails and retry == 0:
        raise ConnectionError("the road is closed")
    return f"shipped {order.number}"


@pytest.fixture(autouse=True)
def _workflows() -> Iterator[None]:
    with registry.scoped():

        @workflow(id="label")
        async def label(ctx: WorkflowContext) -> str:
            return "a label"

        @workflow(id="order")
        async def order(ctx: WorkflowContext, payload: Order) -> str:
            await ctx.step.run("reserve", lambda: {"at": datetime(2030, 1, 1, tzinfo=UTC)})
            await ctx.step.uuid("number")
            await ctx.step.invoke_and_wait("label", label)
            started = await ctx.step.invoke("copy", label)
            await ctx.step.run("sent", lambda: started.id)
            return await ctx.step.run(
                "ship", ship, payload, ctx.retry_count, max_retries=1, base_delay=0.01
            )

        @workflow(id="sleeper")
        async def sleeper(ctx: WorkflowContext) -> None:
            await asyncio.gather(
                ctx.step.wait_for("nap", hours=1),
                ctx.step.run(
                    "away", ship, Order(number=1, fails=True), 0, base_delay=60, max_delay=60
                ),
            )

        yield


@pytest.fixture
def polos(
    file_url: str,
    redis_server: RedisServer,
    client_of: Callable[[PolosClient], PolosClient],
) -> Iterator[PolosClient]:
    with Polos(database_url=file_url, broker_url=redis_server.url) as made:
        yield client_of(made)


def run(asked: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asked)


def ordered(polos: PolosClient, number: int, *, fails: bool = False, **given: Any) -> Any:
    """The handle of an order that has ended."""
    handle = run(polos.invoke("order", Order(number=number, fails=fails), **given))
    polos.wait(handle.id, 60)
    return handle


def test_all_of_an_execution_can_be_seen(polos: PolosClient) -> None:
    handle = ordered(polos, 1, fails=True, tags=["vip", "eu", "vip"], session_id="s")
    found = run(polos.get_execution(handle.id))
    assert json.loads(json.dumps(found)) == found
    assert (found["status"], found["error_type"]) == ("failed", "ConnectionError")
    assert (found["tags"], found["session_id"]) == (["eu", "vip"], "s")
    assert found["attempts"] >= 1
    steps = {step["key"]: step for step in found["steps"]}
    assert list(steps) == ["reserve", "number", "label", "copy", "sent", "ship"]
    assert steps["reserve"]["value"] == {"at": "2030-01-01T00:00:00+00:00"}
    assert [steps[key]["kind"] for key in ("number", "label", "copy")] == [
        "uuid",
        "invoke_and_wait",
        "invoke",
    ]
    children = {child["step_key"]: child for child in found["children"]}
    assert steps["label"]["child_execution_id"] == children["label"]["id"]
    assert steps["copy"]["child_execution_id"] == children["copy"]["id"] == steps["sent"]["value"]
    assert children["label"]["workflow_id"] == "label"
    ship = steps["ship"]
    assert (ship["status"], ship["attempts"], ship["value"]) == ("failed", 2, None)
    assert (ship["error"], ship["error_type"]) == ("the road is closed", "ConnectionError")
    assert [(it["error_type"], it["error"]) for it in ship["history"]] == [
        ("ConnectionError", "the road is closed")
    ]
    assert ship["started_at"] <= ship["history"][0]["at"] <= ship["finished_at"]


def test_what_an_execution_waits_for_can_be_seen(polos: PolosClient) -> None:
    handle = run(polos.invoke("sleeper", run_timeout_seconds=1000))
    while polos.get(handle.id).status is not Status.WAITING:
        asyncio.run(asyncio.sleep(0.01))
    found = run(polos.get_execution(handle.id))
    steps = {step["key"]: step for step in found["steps"]}
    assert {key: step["status"] for key, step in steps.items()} == {
        "nap": "waiting",
        "away": "retrying",
    }
    assert steps["nap"]["due_at"] > found["wake_at"] == steps["away"]["due_at"]
    assert steps["away"]["error"] == "the road is closed"
    assert steps["away"]["attempts"] == len(steps["away"]["history"]) == 1
    assert found["deadline_at"] is not None
    assert run(polos.cancel_execution(handle.id))


def test_a_failed_one_is_retried_and_a_completed_one_is_not(polos: PolosClient) -> None:
    handle = ordered(polos, 2, fails=True)
    with pytest.raises(StepExecutionError):
        handle.result_sync(60)
    again = run(polos.retry(handle.id))
    assert again == handle
    assert again.result_sync(60) == "shipped 2"
    found = run(polos.get_execution(handle.id))
    assert found["retried"] == 1
    assert len(found["children"]) == 2
    with pytest.raises(IllegalTransition, match="is completed; retry is not possible: fork it"):
        run(polos.retry(handle.id))
    with pytest.raises(ExecutionNotFound):
        run(polos.retry("none"))


def test_one_is_forked_from_one_of_its_steps(polos: PolosClient) -> None:
    handle = ordered(polos, 3)
    fork = run(polos.fork(handle.id, from_step="ship", payload={"number": 4}))
    assert fork.result_sync(60) == "shipped 4"
    old, new = (run(polos.get_execution(it.id)) for it in (handle, fork))
    assert new["forked_from"] == handle.id
    assert new["steps"][:-1] == [
        {**s, "child_execution_id": None} if s["key"] == "label" else s for s in old["steps"][:-1]
    ]
    assert run(polos.fork(handle.id)).result_sync(60) == "shipped 3"
    with pytest.raises(StepNotFound, match="no step 'x'; its steps: 'reserve', 'number'"):
        run(polos.fork(handle.id, "x"))
    with pytest.raises(InvalidPayload, match="number"):
        run(polos.fork(handle.id, "ship", {"number": "many"}))
    with pytest.raises(ValueError, match="a step's key"):
        run(polos.fork(handle.id, ""))


def test_a_list_goes_on_from_page_to_page(polos: PolosClient) -> None:
    began, tag = datetime.now(UTC) - timedelta(seconds=1), str(uuid4())
    handles: list[ExecutionHandle[Any]] = run(
        polos.batch_invoke(
            [BatchWorkflowInput("order", Order(number=n), tags=[tag]) for n in range(5)]
        )
    )
    seen: list[str] = []
    cursor = None
    while True:
        page: ExecutionPage = run(polos.list_executions(tag=tag, limit=2, cursor=cursor))
        seen += [item.id for item in page.items]
        assert all(item.tags == (tag,) for item in page.items)
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(it.id for it in handles)
    assert len(seen) == 5
    for handle in handles:
        polos.wait(handle.id, 60)
    done = run(polos.list_executions("order", ["completed"], created_after=began, limit=1000))
    assert set(seen) <= {item.id for item in done.items}
    assert run(polos.list_executions(created_before=began.replace(year=2000))).items == ()


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"status": "paused"}, ValueError, "pass one of queued, running, waiting, completed"),
    ({"status": ["queued", 7]}, ValueError, "status is"),
    ({"limit": 0}, ValueError, "limit is 0; pass a whole number from 1 to 1000"),
    ({"limit": 1001}, ValueError, "limit is 1001"),
    ({"limit": True}, ValueError, "limit is True"),
    ({"cursor": "garbage!"}, ValueError, "is no cursor"),
    ({"tag": "a\0b"}, ValueError, "NUL"),
    ({"session_id": "x" * 300}, ValueError, "300 characters"),
    ({"created_after": "yesterday"}, TypeError, "created_after is of type str; pass a datetime"),
]


@pytest.mark.parametrize(("given", "kind", "text"), REFUSED, ids=lambda it: str(it)[:30])
def test_a_list_of_what_can_not_be(
    given: dict[str, Any], kind: type[Exception], text: str, file_url: str
) -> None:
    with pytest.raises(kind, match=text):
        run(Polos(database_url=file_url).list_executions(**given))


@pytest.mark.parametrize(
    "tags", ["a text", [""], ["a" * 256], [None], [7], ["x"] * 33, {"a": 1}, ["a\0b"]], ids=repr
)
def test_tags_that_can_not_be(tags: Any, file_url: str) -> None:
    polos = Polos(database_url=file_url)
    with pytest.raises(ValueError, match="tag"):
        run(polos.invoke("label", tags=tags))
    with pytest.raises(ValueError, match="tag"):
        run(polos.batch_invoke([BatchWorkflowInput("label", tags=tags)]))
    with pytest.raises(ValueError, match="tag"):
        registry.require("label").start(polos, tags=tags)


def test_many_tags_are_kept_and_a_start_by_key_adds_none(polos: PolosClient) -> None:
    many, key = [f"t{number}" for number in range(32)], str(uuid4())
    label = registry.require("label")
    first = label.start(polos, tags=many, idempotency_key=key)
    second = label.start(polos, tags=["other"], idempotency_key=key)
    assert second == first
    assert label.run_sync(polos, tags=["x"], timeout=60) == "a label"
    assert run(polos.get_execution(first.id))["tags"] == sorted(many)


@pytest.mark.parametrize("days", [-1, math.nan, math.inf, 40_000])
def test_a_number_of_days_that_can_not_be(days: float, file_url: str) -> None:
    with pytest.raises(ValueError, match="older_than_days"):
        run(Polos(database_url=file_url).prune(days))


def test_what_has_ended_is_deleted(polos: PolosClient) -> None:
    handle = ordered(polos, 5)
    assert run(polos.prune(1)) == 0
    while run(polos.list_executions(status=["queued", "running"])).items:
        asyncio.run(asyncio.sleep(0.01))
    assert run(polos.prune(0)) >= 1
    with pytest.raises(ExecutionNotFound):
        run(polos.get_execution(handle.id))
