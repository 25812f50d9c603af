"""The rules of ``@workflow`` at decoration."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, Optional, TypedDict, Union

import pytest
from pydantic import BaseModel

from polos.definition.context import WorkflowContext
from polos.definition.registry import registry
from polos.definition.workflow import Workflow, workflow


class Order(BaseModel):
    id: str
    total: float = 0


class Parcel(BaseModel):
    weight: float


class Options(TypedDict):
    name: str


async def body(ctx: Any) -> int:
    """Count.

    And more.
    """
    return 1


def test_the_three_ways_to_write_it() -> None:
    @workflow
    async def bare(ctx: WorkflowContext) -> None: ...

    @workflow()
    async def called(ctx: WorkflowContext) -> None: ...

    @workflow(id="given.id-1")
    async def named(ctx: WorkflowContext) -> None: ...

    assert [wf.id for wf in (bare, called, named)] == ["bare", "called", "given.id-1"]
    assert all(isinstance(wf, Workflow) for wf in (bare, called, named))
    assert {wf.id for wf in registry.all()} >= {"bare", "called", "given.id-1"}


def test_what_a_workflow_knows_of_itself() -> None:
    class State(BaseModel):
        step: int = 0

    def hook() -> None: ...

    made = workflow(
        id="full",
        queue="orders",
        trigger_on_event="order/created",
        batch_size=5,
        batch_timeout_seconds=2.5,
        on_start=hook,
        on_end=[hook, hook],
        state_schema=State,
        retries=3,
        timeout_seconds=60,
        celery={"rate_limit": "10/m"},
        version="7",
    )(body)
    assert (made.queue, made.trigger_on_event, made.batch_size) == ("orders", "order/created", 5)
    assert (made.batch_timeout_seconds, made.retries, made.timeout_seconds) == (2.5, 3, 60)
    assert (made.on_start, made.on_end, made.state_schema) == ((hook,), (hook, hook), State)
    assert (dict(made.celery_options), made.version) == ({"rate_limit": "10/m"}, "7")
    assert made.function is body
    assert made.description == "Count."
    assert (made.__name__, made.__wrapped__) == ("body", body)
    with pytest.raises(TypeError):
        made.celery_options["queue"] = "x"


def test_defaults() -> None:
    made = workflow(body)
    assert (made.queue, made.schedule, made.version, made.timeout_seconds) == (None,) * 4
    assert (made.batch_size, made.retries, made.on_start, made.on_end) == (1, 0, (), ())
    assert (made.takes_payload, made.payload_type, made.result_type) == (False, type(None), int)


def test_a_queue_may_come_from_the_celery_options() -> None:
    assert workflow(celery={"queue": "slow"})(body).queue == "slow"
    assert workflow(queue="slow", celery={"queue": "slow"})(body).queue == "slow"
    with pytest.raises(ValueError, match="leave one out"):
        workflow(queue="fast", celery={"queue": "slow"})


def test_plain_and_async_functions() -> None:
    def plain(ctx: Any) -> int:
        return 2

    assert workflow(body).is_async
    assert not workflow(plain).is_async
    assert workflow(plain)(None) == 2

    @functools.wraps(body)
    def wrapper(*args: Any) -> Any:
        return body(*args)

    assert workflow(id="wrapped")(wrapper).is_async


@pytest.mark.parametrize(
    ("annotation", "members"),
    [
        (dict, (dict,)),
        (dict[str, Any], (dict[str, Any],)),
        (Order, (Order,)),
        (Order | Parcel, (Order, Parcel)),
        (Union[Order, dict], (Order, dict)),  # noqa: UP007
        (Optional[Order], (Order, type(None))),  # noqa: UP045
        (Order | None, (Order, type(None))),
        (Annotated[Order, "documented"], (Order,)),
    ],
)
def test_annotations_of_a_payload(annotation: Any, members: Any) -> None:
    async def takes(ctx: Any, payload: annotation) -> None: ...

    takes.__annotations__["payload"] = annotation
    made = workflow(takes)
    assert made.takes_payload
    assert made.payload_type == annotation


@pytest.mark.parametrize(
    "annotation", [int, str, list, Any, Options, Mapping, None, Order | int, int | None, object]
)
def test_other_annotations_are_refused(annotation: Any) -> None:
    async def takes(ctx: Any, payload: Any) -> None: ...

    takes.__annotations__["payload"] = annotation
    with pytest.raises(TypeError, match="'takes'.*dict, a Pydantic model or a union"):
        workflow(takes)
    assert registry.get("takes") is None


def test_a_payload_without_annotation_is_refused() -> None:
    async def takes(ctx, payload): ...

    with pytest.raises(TypeError, match="'payload' of workflow 'takes' has no annotation"):
        workflow(takes)


def test_annotations_may_name_local_classes() -> None:
    class Local(BaseModel):
        id: int

    class Result(BaseModel):
        id: int

    @workflow
    async def direct(ctx: WorkflowContext, payload: Local) -> Result: ...

    @workflow()
    async def called(ctx: WorkflowContext, payload: Local | None) -> list[Result]: ...

    assert (direct.payload_type, direct.result_type) == (Local, Result)
    assert (called.payload_type, called.result_type) == (Local | None, list[Result])


def test_annotations_may_name_what_comes_later() -> None:
    @workflow
    async def early(ctx: WorkflowContext, payload: Later) -> Later: ...  # noqa: F821

    with pytest.raises(TypeError, match="'payload' of workflow 'early'.*'Later'.*top level"):
        _ = early.payload_type
    with pytest.raises(TypeError, match="the result of workflow 'early'"):
        _ = early.result_type
    globals()["Later"] = Order
    try:
        assert (early.payload_type, early.result_type) == (Order, Order)
    finally:
        del globals()["Later"]


def test_a_late_annotation_is_checked_late() -> None:
    @workflow
    async def early(ctx: WorkflowContext, payload: Later) -> None: ...  # noqa: F821

    globals()["Later"] = int
    try:
        with pytest.raises(TypeError, match="a Pydantic model or a union"):
            early.encode_payload({})
    finally:
        del globals()["Later"]


def test_the_context_need_not_be_resolvable() -> None:
    @workflow
    async def hidden(ctx: NowhereToBeFound, payload: Order) -> None: ...  # noqa: F821

    assert hidden.payload_type is Order


def no_parameters() -> None: ...
def three_parameters(ctx: Any, payload: dict, more: int) -> None: ...
def star(*args: Any) -> None: ...
def double_star(ctx: Any, **kwargs: Any) -> None: ...
def keyword_only(ctx: Any, *, payload: dict) -> None: ...


@pytest.mark.parametrize(
    "function", [no_parameters, three_parameters, star, double_star, keyword_only]
)
def test_other_parameters_are_refused(function: Any) -> None:
    with pytest.raises(TypeError, match=r"\(ctx\) or \(ctx, payload\)"):
        workflow(function)


def generator(ctx: Any) -> Any:
    yield 1


async def async_generator(ctx: Any) -> Any:
    yield 1


@pytest.mark.parametrize("function", [generator, async_generator])
def test_generators_are_refused(function: Any) -> None:
    with pytest.raises(TypeError, match="generator function; return"):
        workflow(function)


@pytest.mark.parametrize("thing", [Order, 5, functools.partial(body), body.__get__(1)])
def test_only_functions_are_decorated(thing: Any) -> None:
    with pytest.raises(TypeError, match="decorates a function"):
        workflow(thing)


def test_an_id_is_given_by_name() -> None:
    with pytest.raises(TypeError, match=r"@workflow\(id='order'\)"):
        workflow("order")


@pytest.mark.parametrize("id", ["", "a b", "a/b", "ü", "a\n", "a:b", 5, "x" * 201])
def test_bad_ids(id: Any) -> None:
    with pytest.raises(ValueError, match="id"):
        workflow(id=id)


def test_the_longest_id() -> None:
    assert workflow(id="x" * 200)(body).id == "x" * 200


def test_a_lambda_needs_an_id() -> None:
    with pytest.raises(ValueError, match="<lambda>.*id="):
        workflow(lambda ctx: 1)
    assert workflow(id="short")(lambda ctx: 1)(None) == 1


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"schedule": "* * * * *", "trigger_on_event": "t"}, ValueError, "trigger_on_event"),
        ({"schedule": "* * * * *", "queue": "q"}, ValueError, "queue"),
        ({"retries": -1}, ValueError, "retries is -1"),
        ({"retries": 1.5}, ValueError, "retries is 1.5"),
        ({"batch_size": 0}, ValueError, "batch_size is 0"),
        ({"timeout_seconds": 0}, ValueError, "timeout_seconds is 0"),
        ({"timeout_seconds": float("nan")}, ValueError, "timeout_seconds is nan"),
        ({"timeout_seconds": "60"}, ValueError, "timeout_seconds is '60'"),
        ({"batch_timeout_seconds": -1}, ValueError, "batch_timeout_seconds"),
        ({"queue": ""}, ValueError, "queue is empty"),
        ({"celery": ["queue"]}, TypeError, "celery is of type list"),
        ({"celery": {"name": "x", "bind": True}}, ValueError, "bind, name are set by Polos"),
        ({"state_schema": dict}, TypeError, "state_schema"),
        ({"on_start": 5}, TypeError, "on_start"),
        ({"on_end": [5]}, TypeError, "on_end"),
    ],
)
def test_options_that_can_not_work(options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        workflow(**options)


def test_what_has_no_effect_yet_is_said_where_it_is_written() -> None:
    with pytest.warns(UserWarning, match="'nightly': .* nothing with schedule, on_end") as said:
        workflow(id="nightly", schedule="0 3 * * *", on_end=print)(body)
    assert said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        workflow(id="by-day", schedule=None, on_start=[], retries=2)(body)


def test_no_schedule_goes_with_a_queue() -> None:
    assert workflow(schedule=False, queue="q")(body).queue == "q"


def test_calling_a_workflow_calls_the_function() -> None:
    @workflow
    def double(ctx: Any, payload: dict) -> int:
        return 2 * payload["n"]

    assert double(None, {"n": 4}) == 8
    assert repr(double).startswith("<Workflow 'double' of ")
