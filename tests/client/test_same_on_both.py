"""Each method with each kind of input, on a store and by way of a server: the same comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from pydantic import BaseModel

from polos import (
    BatchWorkflowInput,
    ExecutionHandle,
    Polos,
    PolosClient,
    PolosError,
    WorkflowContext,
    workflow,
)
from polos.definition.registry import registry
from polos.model.ports import StartRequest
from tests.support.polos_server import PolosServer
from tests.support.processes import until
from tests.support.servers import RedisServer

T = TypeVar("T")


class Parcel(BaseModel):
    number: int
    price: Decimal = Decimal("1.50")
    at: datetime | None = None


@dataclass(frozen=True)
class Both:
    """A client of each kind, over one database, and what ran there."""

    direct: PolosClient
    http: PolosClient
    done: str = ""
    failed: str = ""
    waiting: str = ""


def run(asked: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asked)


def broken() -> None:
    raise KeyError("é'\"<b>")


@pytest.fixture(scope="module")
def _workflows() -> Iterator[None]:
    with registry.scoped():

        @workflow(id="same_ship", timeout_seconds=900)
        async def ship(ctx: WorkflowContext, payload: Parcel) -> Parcel:
            await ctx.step.run("pack", lambda: {"at": datetime(2030, 1, 1, tzinfo=UTC), "t": (1,)})
            return payload

        @workflow(id="same_broken")
        async def fails(ctx: WorkflowContext) -> None:
            await ctx.step.uuid("number")
            await ctx.step.run("break", broken, max_retries=1, base_delay=0.01)

        @workflow(id="same_raises")
        async def raises(ctx: WorkflowContext) -> None:
            raise ValueError("no")

        @workflow(id="same_waits")
        async def waits(ctx: WorkflowContext) -> None:
            await ctx.step.wait_for("long", hours=1)

        yield


@pytest.fixture(scope="module")
def both(file_url: str, _redis: RedisServer, polos_server: PolosServer, _workflows: None) -> Any:
    _redis.start().flush()
    with Polos(database_url=file_url, broker_url=_redis.url) as direct:
        http = PolosClient(api_url=polos_server.url)
        done = run(direct.invoke("same_ship", Parcel(number=1), tags=["a"], session_id="s"))
        failed = run(direct.invoke("same_broken"))
        waiting = run(direct.invoke("same_waits"))
        for handle in (done, failed):
            direct.wait(handle.id, 60)
        while run(waiting.get(direct))["status"] != "waiting":
            asyncio.run(asyncio.sleep(0.02))
        yield Both(direct, http, done.id, failed.id, waiting.id)
        http.close()


def outcome(ask: Callable[[], Any]) -> Any:
    """What comes of a call, so that it can be compared."""
    try:
        return ask()
    except Exception as error:
        return type(error), str(error), error.args, vars(error)


def compare(both: Both, ask: Callable[[PolosClient], Any]) -> Any:
    direct, http = (outcome(lambda it=it: ask(it)) for it in (both.direct, both.http))
    assert http == direct
    return direct


def is_error(found: Any, kind: str) -> bool:
    return isinstance(found, tuple) and found[0].__name__ == kind


UNKNOWN_IDS = ["none", "", "a/b?c#d", "..", ".", "ü€", "%2F", "a" * 255, " ", "a\tb", "\\"]
# What no execution can have as its id, and some databases and addresses have no room for.
UNKNOWN_IDS += ["a\0b", "\udcff", "a" * 256, None, 5]


@pytest.mark.parametrize("id_", UNKNOWN_IDS, ids=ascii)
@pytest.mark.parametrize(
    "ask",
    [
        lambda it, id_: run(it.get_execution(id_)),
        lambda it, id_: it.get(id_),
        lambda it, id_: run(it.cancel_execution(id_)),
        lambda it, id_: run(it.retry(id_)),
        lambda it, id_: run(it.fork(id_)),
        lambda it, id_: run(it.fork(id_, "step", {"a": 1})),
    ],
    ids=["details", "get", "cancel", "retry", "fork", "fork-from"],
)
def test_an_execution_that_is_not_there(both: Both, ask: Any, id_: str) -> None:
    assert is_error(compare(both, lambda it: ask(it, id_)), "ExecutionNotFound")


@pytest.mark.parametrize("which", ["done", "failed", "waiting"])
def test_an_execution_and_all_of_its_steps(both: Both, which: str) -> None:
    id_ = getattr(both, which)
    assert compare(both, lambda it: run(it.get_execution(id_)))["id"] == id_
    assert compare(both, lambda it: it.get(id_)).id == id_
    assert compare(both, lambda it: it._way.progress(id_)[1].checkpoints or "none")


@pytest.mark.parametrize("which", ["done", "failed", "waiting"])
def test_results_and_the_errors_of_executions(both: Both, which: str) -> None:
    id_ = getattr(both, which)
    patience = 0.3 if which == "waiting" else 60.0
    compare(both, lambda it: ExecutionHandle.of(it.get(id_), it, Any).result_sync(patience))
    compare(both, lambda it: run(ExecutionHandle.of(it.get(id_), it, Any).result(patience)))


def test_what_a_workflow_is_run_for(both: Both) -> None:
    def ship(client: PolosClient) -> Any:
        parcel = Parcel(number=2, price=Decimal("1E+3"), at=datetime(2030, 1, 1, tzinfo=UTC))
        found = run(registry.require("same_ship").run(client, parcel, timeout=60))
        return type(found), found

    assert compare(both, ship)[1].number == 2


def test_what_a_workflow_fails_with(both: Both) -> None:
    def fail(client: PolosClient) -> Any:
        id_ = str(uuid4())
        try:
            registry.require("same_raises").run_sync(client, execution_id=id_, timeout=60)
        except PolosError as error:
            return type(error), str(error).replace(id_, "id"), error.args[1] == id_

    assert compare(both, fail)[1] == "execution id failed: ValueError: no"


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_an_end_that_is_not_seen_in_time(both: Both, timeout: float) -> None:
    assert is_error(compare(both, lambda it: it.wait("none", timeout)), "WorkflowTimeoutError")
    compare(both, lambda it: run(_awaited(it, timeout)))


async def _awaited(client: PolosClient, timeout: float, id_: str = "none") -> Any:
    return await client.wait_async(id_, timeout)


@pytest.mark.parametrize("timeout", [1e300, float("inf"), 10**30])
def test_an_end_that_is_waited_for_for_ever(both: Both, timeout: float) -> None:
    assert compare(both, lambda it: it.wait(both.done, timeout)).id == both.done
    assert compare(both, lambda it: run(_awaited(it, timeout, both.done))).id == both.done


def test_retry_of_what_has_not_failed(both: Both) -> None:
    for id_ in (both.done, both.waiting):
        assert is_error(compare(both, lambda it, id_=id_: run(it.retry(id_))), "IllegalTransition")


@pytest.mark.parametrize(
    ("step", "payload", "kind"),
    [
        ("nowhere", None, "StepNotFound"),
        ("", None, "ValueError"),
        (7, None, "ValueError"),
        ("pack", {"number": "many"}, "InvalidPayload"),
        ("pack", 7, "TypeError"),
        ("pack", {"number": {1, 2}}, "InvalidPayload"),
    ],
)
def test_forks_that_can_not_be(both: Both, step: Any, payload: Any, kind: str) -> None:
    assert is_error(compare(both, lambda it: run(it.fork(both.done, step, payload))), kind)


def test_a_cancel_of_what_has_ended(both: Both) -> None:
    assert compare(both, lambda it: run(it.cancel_execution(both.done))) is False


def test_a_cancel(both: Both) -> None:
    def cancel(client: PolosClient) -> Any:
        handle = registry.require("same_waits").start(client)
        found = run(handle.cancel())
        error = outcome(lambda: handle.result_sync(60))
        return found, error[0], error[1].replace(handle.id, "id")

    assert compare(both, cancel)[:2][0] is True


STARTS: list[tuple[Any, Any, dict[str, Any], str]] = [
    ("nowhere", {"a": 1}, {}, "WorkflowNotFound"),
    ("a/b", None, {}, "WorkflowNotFound"),
    ("..", None, {}, "WorkflowNotFound"),
    ("ü", None, {}, "WorkflowNotFound"),
    ("x" * 300, None, {}, "WorkflowNotFound"),
    (registry, None, {}, "TypeError"),
    ([], None, {}, "TypeError"),
    ("same_ship", {"number": "many"}, {}, "InvalidPayload"),
    ("same_ship", None, {}, "InvalidPayload"),
    ("same_ship", 7, {}, "TypeError"),
    ("same_ship", {"number": 1}, {"session_id": "x" * 300}, "ValueError"),
    ("same_ship", {"number": 1}, {"queue": ""}, "ValueError"),
    ("same_ship", {"number": 1}, {"tags": ["a"] * 40}, "ValueError"),
    ("same_ship", {"number": 1}, {"run_timeout_seconds": -1}, "ValueError"),
    ("same_ship", {"number": 1}, {"run_timeout_seconds": 1e300}, "ValueError"),
    ("same_ship", {"number": 1}, {"execution_id": "TAKEN"}, "ExecutionExists"),
    ("same_ship", {"number": 2}, {"execution_id": "TAKEN"}, "ExecutionExists"),
    ("nowhere", {"x": "y" * 5_000_000}, {}, "ValueTooLarge"),
]


@pytest.mark.parametrize(("id_", "payload", "given", "kind"), STARTS, ids=lambda it: str(it)[:20])
def test_starts_that_can_not_be(
    both: Both, id_: Any, payload: Any, given: dict[str, Any], kind: str
) -> None:
    if given.get("execution_id") == "TAKEN":
        given = {"execution_id": str(uuid4())}
        run(both.direct.invoke("same_ship", {"number": 1}, **given))
    assert is_error(compare(both, lambda it: run(it.invoke(id_, payload, **given))), kind)


@pytest.mark.parametrize(
    "inputs",
    [
        [BatchWorkflowInput("nowhere")],
        [BatchWorkflowInput("same_waits"), BatchWorkflowInput("a/b")],
        [BatchWorkflowInput("same_ship", {"number": 1}), BatchWorkflowInput("same_ship", None)],
        [BatchWorkflowInput("same_ship", 7)],
        [BatchWorkflowInput(7)],  # type: ignore[arg-type]
        [7],
        [],
    ],
)
def test_batches_that_can_not_be(both: Both, inputs: Any) -> None:
    compare(both, lambda it: run(it.batch_invoke(inputs)))


def test_a_start_keeps_all_that_it_is_given(both: Both) -> None:
    def start(client: PolosClient) -> Any:
        request = StartRequest(
            "same_waits",
            b"null",
            queue="elsewhere",
            priority=7,
            concurrency_key="k",
            session_id="",
            user_id="ü",
            run_timeout_seconds=1234.5,
            initial_state=b'{"a":1}',
            delay_seconds=3600.0,
            deployment_id="blue",
            tags=("b", "a"),
        )
        started = client.start(request)
        kept = client.get(started.id)
        assert kept == started
        assert client.cancel(started.id)
        own = {"id": "", "created_at": 0, "wake_at": 0, "deadline_at": 0}
        waits = (kept.wake_at or 0) - kept.created_at, (kept.deadline_at or 0) - kept.created_at
        plain = {name: own.get(name, getattr(kept, name)) for name in kept.__slots__}
        return plain, waits, run(client.get_execution(kept.id))["tags"]

    plain, waits, tags = compare(both, start)
    assert (plain["queue"], plain["deployment_id"], plain["initial_state"]) == (
        "elsewhere",
        "blue",
        b'{"a":1}',
    )
    assert (waits, tags) == ((3_600_000_000, 1_234_500_000), ["a", "b"])


def test_a_key_gives_the_first_execution_whoever_asks(both: Both) -> None:
    key = str(uuid4())
    first = run(both.http.invoke("same_waits", idempotency_key=key))
    assert compare(both, lambda it: run(it.invoke("same_waits", idempotency_key=key))) == first
    inputs = [BatchWorkflowInput("same_waits", idempotency_key=key)] * 2
    assert compare(both, lambda it: run(it.batch_invoke(inputs))) == [first, first]
    own = {"idempotency_key": key, "execution_id": "other"}
    assert compare(both, lambda it: run(it.invoke("same_waits", **own))) == first
    run(first.cancel(both.direct))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"workflow_id": "same_ship", "limit": 1},
        {"workflow_id": "ü/?&"},
        {"status": ["completed", "failed"]},
        {"status": "paused"},
        {"session_id": "s"},
        {"session_id": ""},
        {"tag": "a"},
        {"user_id": "nobody"},
        {"parent_execution_id": "none"},
        {"created_after": datetime(2000, 1, 1)},
        {"created_before": datetime(2000, 1, 1, tzinfo=UTC)},
        {"created_after": datetime(1, 1, 1)},
        {"limit": 0},
        {"cursor": "nonsense"},
        {"tag": "a\0b"},
    ],
    ids=str,
)
def test_lists(both: Both, given: dict[str, Any]) -> None:
    def found(client: PolosClient) -> Any:
        return outcome(lambda: run(client.list_executions(**given)))

    # What was cancelled before may be about to end.
    until(lambda: found(both.http) == found(both.direct), 30, 0.01)


def test_pages_follow_one_another(both: Both) -> None:
    def all_of_them(client: PolosClient) -> list[str]:
        found, cursor = [], None
        while True:
            page = run(client.list_executions(limit=2, cursor=cursor))
            found += [item.id for item in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return found

    for number in range(3):
        run(both.direct.invoke("same_ship", Parcel(number=number)))
    assert len(compare(both, all_of_them)) > 4


@pytest.mark.parametrize("days", [-1, float("nan"), 40_000, "1", None, 36_500])
def test_prunings_of_nothing(both: Both, days: Any) -> None:
    found = compare(both, lambda it: run(it.prune(days)))
    assert found == 0 if days == 36_500 else is_error(found, "ValueError")
