"""``client.batch_invoke``: all are started and their messages sent, or none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from pydantic import BaseModel
from sqlalchemy import select

from polos import (
    BatchWorkflowInput,
    InvalidPayload,
    Polos,
    PolosClient,
    WorkflowContext,
    WorkflowNotFound,
    workflow,
)
from polos.definition.registry import registry
from polos.model.settings import Settings
from polos.store.schema import executions
from tests.client.conftest import WAYS
from tests.support.api_server import ApiServer
from tests.support.servers import HOST, RedisServer


class Parcel(BaseModel):
    number: int


class Label(BaseModel):
    text: str


@pytest.fixture(autouse=True)
def _workflows() -> Iterator[None]:
    with registry.scoped():

        @workflow(id="ship", queue="parcels", timeout_seconds=60, celery={"priority": 3})
        async def ship(ctx: WorkflowContext, payload: Parcel) -> Label:
            return Label(text=f"parcel {payload.number} of {ctx.session_id}")

        @workflow(id="tidy")
        async def tidy(ctx: WorkflowContext) -> int:
            return 7

        yield


@pytest.fixture
def direct(postgres_url: str, redis_server: RedisServer) -> Iterator[PolosClient]:
    settings = Settings.load(
        database_url=postgres_url, broker_url=redis_server.url, auto_migrate=True
    )
    made = PolosClient(settings=settings)
    made.bound.store.known_workflows()
    yield made
    made.close()


@pytest.fixture(params=WAYS)
def client(request: pytest.FixtureRequest, direct: PolosClient) -> Iterator[PolosClient]:
    """The direct one, or one that goes by way of a server that uses it."""
    if request.param == "direct":
        yield direct
        return
    with ApiServer(direct.bound.app) as server:
        made = PolosClient(api_url=f"http://{HOST}:{server.port}")
        yield made
        made.close()


def rows(client: PolosClient) -> list[dict[str, Any]]:
    found = client.bound.store.database.run(select(executions))
    return [dict(row._mapping) for row in found]


def messages(server: RedisServer) -> list[str]:
    """The ids of the executions that there are messages of, the oldest first."""
    with redis.Redis(port=server.port, decode_responses=True) as broker:
        lists = [key for key in broker.scan_iter() if broker.type(key) == "list"]
        texts = [text for key in lists for text in broker.lrange(key, 0, -1)[::-1]]
    return [json.loads(text)["headers"]["id"] for text in texts]


def parcels(count: int) -> list[BatchWorkflowInput]:
    return [BatchWorkflowInput("ship", Parcel(number=number)) for number in range(count)]


def test_a_thousand_are_written_and_sent_before_it_returns(
    client: PolosClient, direct: PolosClient, redis_server: RedisServer
) -> None:
    handles = asyncio.run(client.batch_invoke(parcels(1000), session_id="s", user_id="u"))
    found = {row["id"]: row for row in rows(direct)}
    assert [json.loads(found[it.id]["payload"])["f"]["number"] for it in handles] == [*range(1000)]
    assert set(messages(redis_server)) == set(found)
    assert len(messages(redis_server)) == 1000
    labels = {(row["session_id"], row["user_id"], row["queue"]) for row in found.values()}
    assert labels == {("s", "u", "parcels")}


def test_a_batch_starts_what_a_single_start_does(client: PolosClient, direct: PolosClient) -> None:
    async def start() -> list[str]:
        [batched] = await client.batch_invoke(parcels(1))
        single = await client.invoke("ship", Parcel(number=0))
        defined = await registry.require("ship").invoke(client, Parcel(number=0))
        return [batched.id, single.id, defined.id]

    ids = asyncio.run(start())
    found = {row["id"]: row for row in rows(direct)}
    batched, *others = [
        {
            name: value
            for name, value in found[id_].items()
            if name not in ("id", "created_at", "dispatch_at")
        }
        | {"deadline_at": round((found[id_]["deadline_at"] - found[id_]["created_at"]) / 1e6)}
        for id_ in ids
    ]
    assert others == [batched, batched]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (BatchWorkflowInput("ship", {"number": "many"}), InvalidPayload),
        (BatchWorkflowInput("ship", None), InvalidPayload),
        (BatchWorkflowInput("ship", 7), TypeError),
        (BatchWorkflowInput("tidy", {"a": 1}), TypeError),
        (BatchWorkflowInput("ship", {"number": 1}, idempotency_key=""), ValueError),
        ("ship", TypeError),
    ],
)
def test_a_wrong_one_in_the_middle_keeps_all_back(
    wrong: Any,
    error: type[Exception],
    client: PolosClient,
    direct: PolosClient,
    redis_server: RedisServer,
) -> None:
    inputs = [*parcels(3), wrong, *parcels(3)]
    with pytest.raises(error, match=r"^input 3 of the batch: "):
        asyncio.run(client.batch_invoke(inputs))
    assert not rows(direct)
    assert not messages(redis_server)


def test_an_unknown_workflow_keeps_all_back(client: PolosClient, direct: PolosClient) -> None:
    with pytest.raises(WorkflowNotFound) as caught:
        asyncio.run(client.batch_invoke([*parcels(3), BatchWorkflowInput("nowhere")]))
    assert caught.value.workflow_id == "nowhere"
    assert not rows(direct)


def test_a_second_batch_with_the_same_keys_gives_the_first_executions(
    client: PolosClient, direct: PolosClient, redis_server: RedisServer
) -> None:
    inputs = [
        BatchWorkflowInput("ship", Parcel(number=number), idempotency_key=f"k{number}")
        for number in range(20)
    ]
    first = asyncio.run(client.batch_invoke(inputs[:15]))
    second = asyncio.run(client.batch_invoke(inputs))
    assert second[:15] == first
    assert len(rows(direct)) == 20
    assert sorted(messages(redis_server)) == sorted(it.id for it in second)


def test_a_broker_that_is_away_delays_the_batch_but_does_not_fail_it(
    client: PolosClient, direct: PolosClient, redis_server: RedisServer
) -> None:
    redis_server.kill()
    handles = asyncio.run(client.batch_invoke(parcels(300)))
    assert direct.bound.dispatcher.is_away()
    found = {row["id"]: row for row in rows(direct)}
    assert set(found) == {it.id for it in handles}
    # The sweep sends them as soon as there is a broker, not after the usual time.
    assert all(row["dispatch_at"] <= direct.bound.store.now() for row in found.values())


def test_no_inputs_give_no_handles(client: PolosClient) -> None:
    assert asyncio.run(client.batch_invoke([])) == []


def test_results_come_in_order(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLOS_AUTO_MIGRATE", "1")

    async def run() -> list[Any]:
        async with Polos(database_url=database_url) as polos:
            inputs = [*parcels(20), BatchWorkflowInput("tidy")]
            handles = await polos.batch_invoke(inputs, session_id="s")
            return [await handle.result(60) for handle in handles]

    *labels, seven = asyncio.run(run())
    assert labels == [Label(text=f"parcel {number} of s") for number in range(20)]
    assert seven == 7
