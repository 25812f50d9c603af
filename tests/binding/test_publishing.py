"""Hints on their way to a real Redis: by templates, byte for byte as Celery and kombu send them."""

from __future__ import annotations

import json
import os
import time
from base64 import b64decode
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from celery import Celery, Task, signals
from kombu import Queue
from kombu.transport import TRANSPORT_ALIASES

from polos.binding import dispatcher as dispatching
from polos.binding.dispatcher import CeleryDispatcher
from polos.binding.message_templates import Templates
from polos.model.records import ExecutionId, Hint
from tests.support.servers import RedisServer

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "routed": {"task_routes": {"polos.fl*": {"queue": "fast", "priority": 3}}},
    "compressed": {"task_compression": "gzip"},
    "prefixed": {"broker_transport_options": {"global_keyprefix": "site:"}},
    "steps": {"broker_transport_options": {"priority_steps": [0, 5], "sep": ":"}},
    "yaml": {"task_serializer": "yaml"},
    "msgpack": {"task_serializer": "msgpack", "task_compression": "gzip"},
    "pickle": {"task_serializer": "pickle"},
    "priorities": {"task_default_priority": 4, "task_queue_max_priority": 10},
    "annotated": {
        "task_annotations": {"polos.flow": {"serializer": "yaml", "compression": "gzip"}},
    },
    "topic": {"task_queues": [Queue("celery", routing_key="a.#")], "task_default_routing_key": "a"},
}


def hint(workflow: str = "flow", **given: Any) -> Hint:
    return Hint(ExecutionId(str(uuid4())), workflow, **given)


def make(server: RedisServer, **conf: Any) -> Celery:
    app = Celery("site", broker=server.url, set_as_current=False)
    app.conf.update(conf)
    return app


@pytest.fixture
def broker(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis(port=redis_server.port, decode_responses=True) as client:
        yield client


def taken(broker: redis.Redis) -> dict[str, list[str]]:
    """All messages, oldest first, by the key of their list; afterwards there are none."""
    keys = [key for key in broker.scan_iter() if broker.type(key) == "list"]
    found = {key: broker.lrange(key, 0, -1)[::-1] for key in sorted(keys)}
    broker.delete(*keys) if keys else None
    return found


def without_tags(messages: dict[str, list[str]]) -> dict[str, list[str]]:
    """The same, each delivery's tag exchanged for its form."""
    return {key: [_without_tag(text) for text in texts] for key, texts in messages.items()}


def _without_tag(text: str) -> str:
    tag = json.loads(text)["properties"]["delivery_tag"]
    assert str(UUID(tag)) == tag
    return text.replace(tag, "tag")


def ids(messages: dict[str, list[str]]) -> list[str]:
    return [json.loads(text)["headers"]["id"] for texts in messages.values() for text in texts]


def warm(dispatcher: CeleryDispatcher, *hints: Hint) -> None:
    """Send as many of the same kinds as it takes to have their templates."""
    for _ in range(4):
        for it in hints:
            dispatcher.dispatch([hint(it.workflow_id, queue=it.queue, priority=it.priority)])


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Hint]:
    """The hints that went by templates."""
    found: list[Hint] = []
    send = Templates.send

    def noting(self: Templates, producer: Any, hints: list[Hint]) -> None:
        found.extend(hints)
        send(self, producer, hints)

    monkeypatch.setattr(Templates, "send", noting)
    return found


@pytest.mark.parametrize("conf", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_both_ways_send_the_same_bytes(
    conf: dict[str, Any],
    redis_server: RedisServer,
    broker: redis.Redis,
    counted: list[Hint],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dispatcher = CeleryDispatcher(make(redis_server, **conf))
    hints = [hint(), hint(priority=7), hint(reason='child "ä" ended'), hint("other", queue="slow")]
    hints += [hint(), hint(countdown=20.0), hint(celery_options=b'{"shadow": "x"}')]
    warm(dispatcher, *hints)
    taken(broker)
    assert dispatcher.dispatch(hints) == len(hints)
    quick = taken(broker)
    assert len(counted) >= 5
    monkeypatch.setattr(Templates, "have", lambda *_: False)
    assert dispatcher.dispatch(hints) == len(hints)
    whole = taken(broker)
    timed = hints[-2].execution_id
    for messages in (quick, whole):
        assert sorted(ids(messages)) == sorted(it.execution_id for it in hints)
        # Its moment is another one each time.
        for key, texts in messages.items():
            messages[key] = [text for text in texts if timed not in text]
    # Those that go in Celery's way go first.
    ordered = [{key: sorted(it) for key, it in without_tags(m).items()} for m in (quick, whole)]
    assert ordered[0] == ordered[1]


def test_a_thousand_hints_take_two_round_trips(
    redis_server: RedisServer, broker: redis.Redis
) -> None:
    dispatcher = CeleryDispatcher(make(redis_server))
    warm(dispatcher, hint())
    taken(broker)
    hints = [hint() for _ in range(1000)]
    before = broker.info("commandstats")["cmdstat_lpush"]["calls"]
    assert dispatcher.dispatch(hints) == 1000
    after = broker.info("commandstats")["cmdstat_lpush"]["calls"]
    assert after - before == 2
    assert ids(taken(broker)) == [it.execution_id for it in hints]


def test_no_hints_take_no_way_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(work: object) -> int:
        raise AssertionError("another thread was asked")

    monkeypatch.setattr(dispatching, "in_greenlet", asked)
    sending = CeleryDispatcher(Celery("site", broker="memory://", set_as_current=False))
    assert sending.dispatch([]) == 0
    assert sending.dispatch(()) == 0


def test_the_first_of_a_kind_make_the_template_for_the_rest(
    redis_server: RedisServer, broker: redis.Redis, counted: list[Hint]
) -> None:
    dispatcher = CeleryDispatcher(make(redis_server))
    hints = [hint() for _ in range(100)]
    assert dispatcher.dispatch(hints) == 100
    assert sorted(ids(taken(broker))) == sorted(it.execution_id for it in hints)
    assert len(counted) >= 95


def _router(name: str, *args: Any, **kwargs: Any) -> dict[str, str]:
    return {"queue": f"q{time.monotonic_ns() % 2}"}


@pytest.mark.parametrize(
    "conf", [{"task_routes": (_router,)}, {"task_send_sent_event": True}], ids=["router", "event"]
)
def test_what_looks_at_each_message_sees_each(
    conf: dict[str, Any], redis_server: RedisServer, counted: list[Hint]
) -> None:
    dispatcher = CeleryDispatcher(make(redis_server, **conf))
    assert dispatcher.dispatch([hint() for _ in range(20)]) == 20
    assert not counted


def test_a_program_that_listens_to_its_messages_hears_of_each_and_may_change_it(
    redis_server: RedisServer, broker: redis.Redis
) -> None:
    dispatcher = CeleryDispatcher(make(redis_server))
    warm(dispatcher, hint())
    taken(broker)
    heard: list[str] = []

    def listen(headers: dict[str, Any], **_: Any) -> None:
        heard.append(headers["id"])
        headers["trace"] = str(len(heard))

    signals.before_task_publish.connect(listen)
    try:
        hints = [hint() for _ in range(5)]
        dispatcher.dispatch(hints)
    finally:
        signals.before_task_publish.disconnect(listen)
    assert heard == [it.execution_id for it in hints]
    [texts] = taken(broker).values()
    assert [json.loads(text)["headers"]["trace"] for text in texts] == list("12345")


def test_a_message_that_differs_in_more_is_left_to_celery(
    redis_server: RedisServer, broker: redis.Redis, counted: list[Hint]
) -> None:
    app = make(redis_server)
    make_message, number = app.amqp.create_task_message, iter(range(100))

    def numbered(*args: Any, **kwargs: Any) -> Any:
        message = make_message(*args, **kwargs)
        message.headers["number"] = next(number)
        return message

    app.amqp.create_task_message = numbered
    CeleryDispatcher(app).dispatch([hint() for _ in range(20)])
    assert not counted
    [texts] = taken(broker).values()
    assert [json.loads(text)["headers"]["number"] for text in texts] == list(range(20))


def test_events_of_sent_tasks_are_sent_where_they_are_asked_for(
    redis_server: RedisServer, broker: redis.Redis
) -> None:
    dispatcher = CeleryDispatcher(make(redis_server, task_send_sent_event=True))
    with broker.pubsub() as events:
        events.psubscribe("*")
        assert events.get_message(timeout=60)["type"] == "psubscribe"
        sent = hint()
        dispatcher.dispatch([sent])
        heard = events.get_message(timeout=60)
    event = json.loads(b64decode(json.loads(heard["data"])["body"]))
    assert (event["type"], event["uuid"]) == ("task-sent", sent.execution_id)
    assert event["name"] == "polos.flow"


@pytest.mark.parametrize("others", [[], [hint("other")]], ids=["quick", "both"])
def test_a_broker_that_is_away_leaves_all_undelivered(
    others: list[Hint], redis_server: RedisServer
) -> None:
    lost: list[str] = []
    dispatcher = CeleryDispatcher(make(redis_server), lost.extend)
    warm(dispatcher, hint())
    hints = [hint() for _ in range(10)] + others
    redis_server.kill()
    assert dispatcher.dispatch(hints) == 0
    assert dispatcher.is_away()
    assert sorted(lost) == sorted(it.execution_id for it in hints)


def test_a_driver_that_is_not_installed_leaves_all_undelivered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(TRANSPORT_ALIASES, "absent", "no_such_driver:Transport")
    lost: list[str] = []
    dispatcher = CeleryDispatcher(
        Celery("site", broker="absent://", set_as_current=False), lost.extend
    )
    hints = [hint() for _ in range(3)]
    assert dispatcher.dispatch(hints) == 0
    assert lost == [it.execution_id for it in hints]
    assert "No module named 'no_such_driver'" in caplog.text


def test_a_lost_connection_is_made_anew_within_the_call(
    redis_server: RedisServer, broker: redis.Redis
) -> None:
    lost: list[str] = []
    dispatcher = CeleryDispatcher(make(redis_server), lost.extend)
    warm(dispatcher, hint())
    redis_server.kill()
    redis_server.start()
    hints = [hint() for _ in range(10)]
    assert dispatcher.dispatch(hints) == 10
    assert not lost
    assert set(ids(taken(broker))) == {it.execution_id for it in hints}


def test_a_route_that_is_wrong_keeps_no_other_back(
    redis_server: RedisServer, broker: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    dispatcher = CeleryDispatcher(make(redis_server, task_create_missing_queues=False))
    warm(dispatcher, hint())
    taken(broker)
    hints = [hint(), hint(queue="nowhere"), hint()]
    assert dispatcher.dispatch(hints) == 2
    assert ids(taken(broker)) == [hints[0].execution_id, hints[2].execution_id]
    assert hints[1].execution_id in caplog.text


def test_a_forked_process_sends_under_its_own_name(
    redis_server: RedisServer, broker: redis.Redis
) -> None:
    dispatcher = CeleryDispatcher(make(redis_server))
    warm(dispatcher, hint())
    taken(broker)
    child = os.fork()
    if not child:
        os._exit(dispatcher.dispatch([hint()]) != 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    [[text]] = taken(broker).values()
    assert json.loads(text)["headers"]["origin"].startswith(f"gen{child}@")


def test_a_new_route_is_taken_at_once(redis_server: RedisServer, broker: redis.Redis) -> None:
    app = make(redis_server)
    dispatcher = CeleryDispatcher(app)
    warm(dispatcher, hint())
    taken(broker)
    app.conf.update(task_routes={"polos.flow": "elsewhere"})
    dispatcher.dispatch([hint() for _ in range(10)])
    assert list(taken(broker)) == ["elsewhere"]


@pytest.mark.parametrize("id_", ['quote"and-more-of-it', "ünïcode-ünïcode-ünïcode", "short"])
def test_ids_that_json_writes_otherwise_go_in_celerys_way(
    id_: str, redis_server: RedisServer, broker: redis.Redis, counted: list[Hint]
) -> None:
    dispatcher = CeleryDispatcher(make(redis_server))
    warm(dispatcher, hint())
    taken(broker)
    before = len(counted)
    dispatcher.dispatch([Hint(ExecutionId(id_), "flow")])
    assert ids(taken(broker)) == [id_]
    assert len(counted) == before


def test_routers_that_are_functions_and_queues_of_annotations(
    redis_server: RedisServer, broker: redis.Redis
) -> None:
    seen: list[str] = []

    def router(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **_: Any) -> Any:
        seen.append(f"{name} {getattr(task, 'name', None)}")
        return {"queue": "routed"} if name == "polos.routed" else None

    annotations = {"polos.annotated": {"queue": "annotated"}}
    app = make(redis_server, task_routes=(router,), task_annotations=annotations)
    app.register_task(type("Annotated", (Task,), {"name": "polos.annotated"})())
    dispatcher = CeleryDispatcher(app)
    for _ in range(3):
        dispatcher.dispatch([hint("routed"), hint("annotated"), hint("other")])
    assert {key: len(texts) for key, texts in taken(broker).items()} == {
        "annotated": 3,
        "celery": 3,
        "routed": 3,
    }
    assert seen.count("polos.annotated polos.annotated") == 3


def test_messages_of_protocol_1_go_in_celerys_way(
    redis_server: RedisServer, broker: redis.Redis, counted: list[Hint]
) -> None:
    dispatcher = CeleryDispatcher(make(redis_server, task_protocol=1))
    hints = [hint() for _ in range(10)]
    for it in hints:
        dispatcher.dispatch([it])
    bodies = [json.loads(b64decode(json.loads(it)["body"])) for it in taken(broker)["celery"]]
    assert [body["id"] for body in bodies] == [it.execution_id for it in hints]
    assert counted == []
