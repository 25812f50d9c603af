"""A project on RabbitMQ and PostgreSQL, with results in Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from polos import Polos, PolosClient
from tests.acceptance import ledger, rabbit_app
from tests.acceptance.stacks import Stack
from tests.support.rabbit import RabbitServer
from tests.support.servers import PostgresServer, RedisServer


@dataclass
class RabbitStack(Stack):
    """A project of its own, which Polos is bound to."""

    kind: str = ""
    results: str = ""
    project: Celery = field(default_factory=lambda: Celery(set_as_current=False))

    @property
    def queue(self) -> str:
        """The name of its queue."""
        return rabbit_app.queue_of(self.kind)

    @property
    def env(self) -> dict[str, str | None]:
        """What a program needs in its environment."""
        return {
            "HOME": str(self.folder),
            "RABBIT_KIND": self.kind,
            "RABBIT_BROKER": self.broker,
            "RABBIT_RESULTS": self.results,
            "RABBIT_DATABASE": self.database,
            ledger.VARIABLE: str(self.ledger.path),
        }

    def client(self, **settings: Any) -> PolosClient:
        """What the project's programs use to start workflows."""
        self.project = rabbit_app.make_app(self.kind, self.broker, self.results, self.database)
        return Polos(self.project)

    def queued_messages(self) -> int:
        """How many messages nobody has fetched."""
        with self.project.connection_for_read() as connection:
            channel: Any = connection.default_channel
            return int(channel.queue_declare(self.queue, passive=True).message_count)


@contextmanager
def rabbit_stack(
    kind: str, folder: Path, rabbit: RabbitServer, redis: RedisServer, postgres: PostgresServer
) -> Iterator[RabbitStack]:
    """Queues of one type, with nothing in them, and a new database."""
    redis.start().flush()
    with postgres.start().fresh_database() as url, pytest.MonkeyPatch.context() as patch:
        made = RabbitStack(
            f"rabbitmq-{kind}",
            folder,
            rabbit.start().url,
            url,
            app="tests.acceptance.rabbit_app",
            kind=kind,
            results=redis.url,
        )
        patch.setenv(ledger.VARIABLE, str(made.ledger.path))
        yield made
    rabbit.delete(made.queue)
