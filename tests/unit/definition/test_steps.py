from __future__ import annotations

import asyncio
import functools
import gc
import uuid
import warnings
from collections.abc import Awaitable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import BaseModel

from polos import codec
from polos.definition.handle import ExecutionHandle
from polos.definition.registry import Registry
from polos.definition.steps import Steps
from polos.definition.workflow import workflow
from polos.errors import ConfigurationError, InvalidPayload, StepExecutionError
from polos.model.records import Kind
from polos.model.retry import RetryPolicy

from .fakes import FakeEffects


class Order(BaseModel):
    id: str = "default"


class Receipt(BaseModel):
    number: int


async def fetch(url: str, depth: int = 1) -> str:
    return url * depth


def count(text: str) -> int:
    return len(text)


@pytest.fixture
def effects() -> FakeEffects:
    return FakeEffects()


@pytest.fixture
def steps(effects: FakeEffects) -> Steps:
    return effects.steps_for("e1")


# -- run ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "expected"),
    [
        (fetch, ("ab",), {"depth": 2}, "abab"),
        (count, ("abc",), {}, 3),
        (lambda: "text", (), {}, "text"),
        (lambda: fetch("a"), (), {}, "a"),
        (functools.partial(count, "ab"), (), {}, 2),
        (Receipt, (), {"number": 1}, Receipt(number=1)),
        (lambda: None, (), {}, None),
        (lambda: 0, (), {}, 0),
    ],
)
def test_run(steps: Steps, function: Any, args: Any, kwargs: Any, expected: Any) -> None:
    assert asyncio.run(steps.run("key", function, *args, **kwargs)) == expected


def test_run_asks_for_the_defaults(steps: Steps, effects: FakeEffects) -> None:
    asyncio.run(steps.run("key", count, "ab"))
    [request] = effects.steps
    assert (request.key, request.func, request.args, request.kwargs) == ("key", count, ("ab",), {})
    assert request.policy == RetryPolicy(2, 1.0, 10.0, None, (), None, 0.0)


def test_run_asks_for_what_was_given(steps: Steps, effects: FakeEffects) -> None:
    given = steps.run(
        "key",
        fetch,
        "a",
        max_retries=5,
        base_delay=0.5,
        max_delay=60.0,
        retry_on=OSError,
        no_retry_on=(KeyError, ValueError),
        timeout=3,
        jitter=0.5,
    )
    asyncio.run(given)
    expected = RetryPolicy(5, 0.5, 60.0, (OSError,), (KeyError, ValueError), 3, 0.5)
    assert effects.steps[0].policy == expected


def test_a_recorded_step_is_not_repeated() -> None:
    effects = FakeEffects({"key": 0})
    assert asyncio.run(effects.steps_for().run("key", lambda: 1 / 0)) == 0


def test_a_call_in_the_function_s_place(steps: Steps) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TypeError, match=r"given a coroutine.*run\('key', func, arg\)"):
            asyncio.run(steps.run("key", fetch("a")))
        gc.collect()
    with pytest.raises(TypeError, match="of type int, which can't be called"):
        asyncio.run(steps.run("key", count("a")))
    with pytest.raises(TypeError, match="of type NoneType"):
        asyncio.run(steps.run("key", None))


def test_a_future_in_the_function_s_place(steps: Steps) -> None:
    async def call() -> None:
        future = asyncio.get_running_loop().create_future()
        await steps.run("key", future)

    with pytest.raises(TypeError, match="given a Future"):
        asyncio.run(call())


def test_a_workflow_in_the_function_s_place(steps: Steps) -> None:
    @workflow
    async def child(ctx: Any) -> None: ...

    with pytest.raises(TypeError, match="invoke_and_wait"):
        asyncio.run(steps.run("key", child))


def plain_with_hint() -> Awaitable[int]: ...
def plain_returning_none() -> None: ...
async def on(*args: Any) -> int: ...


@functools.wraps(on)
def wrapper(*args: Any) -> Any: ...


class Gateway:
    def blocking(self) -> int: ...
    async def charge(self) -> int: ...
    async def __call__(self) -> int: ...


@pytest.mark.parametrize(
    "function",
    [
        on,
        wrapper,
        plain_with_hint,
        functools.partial(on, 1),
        lambda: on(),
        Gateway().charge,
        Gateway(),
        asyncio.to_thread,
        asyncio.sleep,
    ],
)
def test_timeouts_of_what_may_be_awaited(effects: FakeEffects, steps: Steps, function: Any) -> None:
    effects.recorded["key"] = None
    asyncio.run(steps.run("key", function, timeout=5))
    assert effects.steps[0].policy.timeout == 5


@pytest.mark.parametrize(
    "function",
    [count, plain_returning_none, functools.partial(count, "a"), Gateway().blocking],
)
def test_a_timeout_of_a_blocking_function(steps: Steps, function: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"asyncio\.to_thread.*time_limit"):
        asyncio.run(steps.run("key", function, timeout=5))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"max_retries": -1}, ConfigurationError, "max_retries"),
        ({"base_delay": -1}, ConfigurationError, "base_delay"),
        ({"jitter": 2}, ConfigurationError, "jitter"),
        ({"timeout": 0}, ConfigurationError, "timeout"),
        ({"retry_on": OSError("x")}, TypeError, "retry_on"),
        ({"retry_on": [5]}, TypeError, "retry_on"),
        ({"retry_on": "OSError"}, TypeError, "retry_on holds 'OSError'"),
        ({"no_retry_on": int}, TypeError, "no_retry_on"),
    ],
)
def test_policies_that_can_not_work(
    steps: Steps, options: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        asyncio.run(steps.run("key", fetch, "a", **options))


@pytest.mark.parametrize("key", ["", None, 5, "x" * 256, "a\0b", "\udfff", b"key"])
def test_bad_keys(steps: Steps, key: Any) -> None:
    calls = [
        lambda: steps.run(key, count, "a"),
        lambda: steps.wait_for(key, seconds=1),
        lambda: steps.wait_until(key, datetime.now()),
        lambda: steps.uuid(key),
        lambda: steps.random(key),
        lambda: steps.now(key),
        lambda: steps.invoke(key, "child"),
        lambda: steps.invoke_and_wait(key, "child"),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="a step's key"):
            asyncio.run(call())


def test_the_longest_key(steps: Steps) -> None:
    assert asyncio.run(steps.run("ü" * 255, count, "a")) == 1


# -- waits -------------------------------------------------------------------------------------


def test_wait_for_adds_its_parts(steps: Steps, effects: FakeEffects) -> None:
    waited = steps.wait_for("w", seconds=1.5, minutes=1, hours=1, days=1, weeks=1)
    assert asyncio.run(waited) is None
    assert effects.waits["w"] - effects.clock == 694_861_500_000


def test_wait_for_by_position(steps: Steps, effects: FakeEffects) -> None:
    asyncio.run(steps.wait_for("w", 2))
    assert effects.waits["w"] - effects.clock == 2_000_000


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"seconds": 0},
        {"seconds": -1},
        {"minutes": 1, "seconds": -60},
        {"seconds": float("nan")},
        {"seconds": float("inf")},
        {"hours": float("-inf")},
        {"weeks": 10**400},
    ],
)
def test_wait_for_what_is_not_positive(steps: Steps, effects: FakeEffects, parts: Any) -> None:
    with pytest.raises(StepExecutionError) as caught:
        asyncio.run(steps.wait_for("w", **parts))
    assert caught.value.step_key == "w"
    assert effects.waits == {}


@pytest.mark.parametrize("part", ["5", None, timedelta(seconds=1), [1]])
def test_wait_for_what_is_no_number(steps: Steps, effects: FakeEffects, part: Any) -> None:
    with pytest.raises(TypeError, match="step 'w' is to wait for what is no number"):
        asyncio.run(steps.wait_for("w", seconds=part))
    assert effects.waits == {}


def test_wait_until(steps: Steps, effects: FakeEffects) -> None:
    zone = timezone(timedelta(hours=2))
    asyncio.run(steps.wait_until("naive", datetime(2030, 1, 1)))
    asyncio.run(steps.wait_until("aware", datetime(2030, 1, 1, tzinfo=UTC)))
    asyncio.run(steps.wait_until("zoned", datetime(2030, 1, 1, 2, tzinfo=zone)))
    asyncio.run(steps.wait_until("past", datetime(1970, 1, 1)))
    assert effects.waits["naive"] == effects.waits["aware"] == effects.waits["zoned"]
    assert effects.waits["naive"] == 1_893_456_000_000_000
    assert effects.waits["past"] == 0


@pytest.mark.parametrize("moment", [date(2030, 1, 1), 5, "2030-01-01", None])
def test_wait_until_takes_a_datetime(steps: Steps, moment: Any) -> None:
    with pytest.raises(TypeError, match="pass a datetime"):
        asyncio.run(steps.wait_until("w", moment))


# -- what is drawn once ------------------------------------------------------------------------


def test_uuid_and_random_follow_from_execution_and_key() -> None:
    async def draw(execution_id: str, key: str) -> tuple[str, float]:
        steps = FakeEffects().steps_for(execution_id)
        return await steps.uuid(key), await steps.random(key + "r")

    first = asyncio.run(draw("e1", "k"))
    assert asyncio.run(draw("e1", "k")) == first
    others = [asyncio.run(draw("e2", "k")), asyncio.run(draw("e1", "l"))]
    assert len({first, *others}) == 3
    assert str(uuid.UUID(first[0])) == first[0]


def test_random_is_spread_over_its_range(steps: Steps) -> None:
    async def draw() -> list[float]:
        return [await steps.random(f"r{number}") for number in range(2_000)]

    drawn = asyncio.run(draw())
    assert all(0 <= value < 1 for value in drawn)
    assert 0.47 < sum(drawn) / len(drawn) < 0.53
    assert len(set(drawn)) == len(drawn)


def test_now_is_in_milliseconds(steps: Steps, effects: FakeEffects) -> None:
    assert asyncio.run(steps.now("n")) == 1_700_000_000_123
    effects.clock += 5_000_000
    assert asyncio.run(steps.now("n")) == 1_700_000_000_123
    assert asyncio.run(steps.now("m")) == 1_700_000_005_123


def test_the_kinds_of_what_is_recorded(steps: Steps, effects: FakeEffects) -> None:
    async def draw() -> None:
        await steps.uuid("u")
        await steps.random("r")
        await steps.now("n")

    asyncio.run(draw())
    assert effects.kinds == {"u": Kind.UUID, "r": Kind.RANDOM, "n": Kind.NOW}


@pytest.mark.parametrize("recorded", [0, 0.0, ""])
def test_falsy_recorded_values(recorded: Any) -> None:
    steps = FakeEffects({"u": recorded, "r": recorded, "n": recorded}).steps_for()
    for drawn in (steps.uuid("u"), steps.random("r"), steps.now("n")):
        assert asyncio.run(drawn) == recorded


# -- children ----------------------------------------------------------------------------------


@workflow(id="steps.child", queue="orders", timeout_seconds=90)
async def child(ctx: Any, payload: Order) -> Receipt: ...


def test_a_child_s_result_can_be_unpacked(steps: Steps, effects: FakeEffects) -> None:
    effects.child_result = Receipt(number=7)
    result = asyncio.run(steps.invoke_and_wait("c", child, Order(id="a")))
    assert result.number == 7
    assert Receipt(**result) == result == Receipt(number=7)
    assert isinstance(result, Receipt)


@pytest.mark.parametrize("result", [0, False, "", [], {}, None])
def test_falsy_results_of_a_child(steps: Steps, effects: FakeEffects, result: Any) -> None:
    effects.child_result = result
    assert asyncio.run(steps.invoke_and_wait("c", "unknown")) == result


def test_what_a_child_is_asked_for(steps: Steps, effects: FakeEffects) -> None:
    asyncio.run(steps.invoke_and_wait("c", child, {"id": "a"}))
    asyncio.run(
        steps.invoke(
            "d",
            child,
            Order(id="b"),
            initial_state={"count": 0},
            queue="slow",
            concurrency_key="k",
            run_timeout_seconds=5,
        )
    )
    first, second = effects.children
    assert (first.key, first.workflow_id, first.queue) == ("c", "steps.child", "orders")
    assert (first.run_timeout_seconds, first.result_type) == (90, Receipt)
    assert codec.decode_payload(first.payload, Order) == Order(id="a")
    assert (second.queue, second.concurrency_key, second.run_timeout_seconds) == ("slow", "k", 5)
    assert codec.decode(second.initial_state or b"") == {"count": 0}


def test_invoke_gives_a_handle(steps: Steps) -> None:
    handle = asyncio.run(steps.invoke("c", child, Order(id="a")))
    assert isinstance(handle, ExecutionHandle)
    assert (handle.id, handle.workflow_id, handle.step_key) == ("child-c", "steps.child", "c")
    assert handle.parent_execution_id == "e1"


def test_an_id_that_is_known_here(effects: FakeEffects) -> None:
    known = Registry()
    known.add(child)
    steps = Steps(effects, "e1", known)
    asyncio.run(steps.invoke_and_wait("c", "steps.child", {"id": "a"}))
    assert (effects.children[0].queue, effects.children[0].result_type) == ("orders", Receipt)
    with pytest.raises(InvalidPayload, match="id"):
        asyncio.run(steps.invoke_and_wait("d", "steps.child", {"id": []}))


def test_an_id_that_is_not_known_here(steps: Steps, effects: FakeEffects) -> None:
    asyncio.run(steps.invoke_and_wait("c", "elsewhere", {"any": "thing"}, initial_state=[]))
    [request] = effects.children
    assert (request.workflow_id, request.queue, request.result_type) == ("elsewhere", None, Any)
    assert codec.decode_payload(request.payload, dict) == {"any": "thing"}
    assert codec.decode(request.initial_state or b"") == []


@pytest.mark.parametrize("target", ["elsewhere", child])
@pytest.mark.parametrize("payload", [5, 0, "text", [Order()]])
def test_payloads_of_other_types(steps: Steps, target: Any, payload: Any) -> None:
    with pytest.raises(TypeError, match="a Pydantic model, a dict or None"):
        asyncio.run(steps.invoke_and_wait("c", target, payload))


@pytest.mark.parametrize("target", [fetch, None, 5, Order])
def test_only_workflows_are_started(steps: Steps, target: Any) -> None:
    with pytest.raises(TypeError, match="step 'c'.*@workflow, or a workflow's id"):
        asyncio.run(steps.invoke("c", target))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"queue": "a\0"}, "queue"),
        ({"concurrency_key": "x" * 256}, "concurrency_key"),
        ({"run_timeout_seconds": -1}, "run_timeout_seconds"),
    ],
)
def test_unacceptable_options_of_a_child(
    steps: Steps, effects: FakeEffects, options: Any, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        asyncio.run(steps.invoke("c", child, Order(id="a"), **options))
    with pytest.raises(ValueError, match="id"):
        asyncio.run(steps.invoke("c", "not an id"))
    assert effects.children == []
