"""What the doctor finds out about brokers, settings and routes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery import Celery

from polos.cli.doctor import asking
from polos.cli.doctor.facts import CeleryFacts
from tests.support.servers import HOST, RedisServer, free_port


def test_the_visibility_timeout_of_redis(redis_server: RedisServer) -> None:
    app = Celery("any", set_as_current=False, broker=redis_server.url)
    facts = asking.broker_of(app)
    assert (facts.kind, facts.refusal, facts.visibility) == ("redis", "", 3600.0)
    app.conf.broker_transport_options = {"visibility_timeout": 60}
    assert asking.broker_of(app).visibility == 60.0
    # What is asked for here must not stay in the app's own settings.
    assert app.conf.broker_transport_options == {"visibility_timeout": 60}


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_is_away_says_why(scheme: str) -> None:
    url = f"{scheme}://me:geheim@{HOST}:{free_port()}//"
    facts = asking.broker_of(Celery("any", set_as_current=False, broker=url))
    assert facts.kind == scheme
    assert facts.refusal
    assert "geheim" not in repr(facts)


def test_the_defaults_of_celery_are_those_of_the_facts() -> None:
    app = Celery("any", set_as_current=False)
    assert asking.celery_of(app) == CeleryFacts()


def test_settings_are_read_as_celery_means_them() -> None:
    app = Celery("any", set_as_current=False, backend="redis://host")
    app.conf.update(
        task_time_limit=20,
        result_expires=timedelta(hours=1),
        worker_eta_task_limit=10,
        worker_soft_shutdown_timeout=7,
        task_acks_late=True,
    )

    @app.task(time_limit=90, name="slow", shared=False)
    def slow() -> None: ...

    @app.task(name="plain", shared=False)
    def plain() -> None: ...

    facts = asking.celery_of(app)
    assert (facts.longest_limit, facts.result_expires, facts.result_backend) == (90, 3600, "redis")
    assert (facts.eta_task_limit, facts.soft_shutdown, facts.acks_late) == (10, 7.0, True)


def test_one_task_without_a_limit_may_take_any_time() -> None:
    # The limit for all, as other plugins may have tasks in every app.
    app = Celery("any", set_as_current=False)
    app.conf.task_time_limit = 20

    @app.task(time_limit=90, name="slow", shared=False)
    def slow() -> None: ...

    assert asking.celery_of(app).longest_limit == 90
    app.tasks["slow"].time_limit = app.conf.task_time_limit = None
    assert asking.celery_of(app).longest_limit is None


def test_routes_are_celerys() -> None:
    app = Celery("any", set_as_current=False)
    app.conf.task_routes = {"polos.slow-*": {"queue": "slow"}}
    assert asking.routes_of(app, ["slow-one", "quick"]) == {"slow-one": "slow", "quick": "celery"}
