"""Tasks as steps on their way to a real Redis."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

from polos.binding.task_sender import CeleryTaskSender
from polos.model.ports import TaskSending
from polos.model.records import ExecutionId
from tests.support.servers import RedisServer


@pytest.fixture
def app(redis_server: RedisServer) -> Celery:
    return Celery("site", broker=redis_server.url, set_as_current=False)


def sending(app: Celery) -> TaskSending:
    return TaskSending(ExecutionId("e"), "charge", "t", app.signature("site.charge"))


def sent(app: Celery) -> int:
    with app.connection_for_read() as connection:
        return int(connection.default_channel.client.llen("celery"))


def test_a_connection_that_is_closed_under_kombu_is_a_broker_that_is_away(
    app: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    sender = CeleryTaskSender(app, "default")
    assert sender.send(sending(app))
    with app.producer_pool.acquire(block=True) as producer:
        # As a reconnect leaves it that is broken off by another loss.
        producer.channel.connection = None
    assert not sender.send(sending(app))
    assert "'NoneType' object has no attribute" in caplog.text
    assert "it is sent later" in caplog.text
    assert sender.send(sending(app))
    assert sent(app) == 2


@pytest.mark.parametrize("error", [AttributeError("of a router"), ValueError("of a router")])
def test_an_error_of_the_users_code_is_the_steps(app: Celery, error: Exception) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    app.conf.task_routes = (refuse,)
    with pytest.raises(type(error), match="of a router"):
        CeleryTaskSender(app, "default").send(sending(app))
    assert sent(app) == 0
