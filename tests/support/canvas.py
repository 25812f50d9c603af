"""A Celery app whose messages a test delivers one by one, as a worker's pool does."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from celery import Celery
from celery.app.trace import build_tracer

from polos import Polos, workflow
from polos.definition.workflow import Workflow
from polos.model.records import Hint


class Canvas:
    """An app with a workflow between two tasks, on a broker in memory.

    Args:
        url: the store.
        results: the result backend.
    """

    def __init__(self, url: str, results: str = "cache+memory://") -> None:
        self.app = Celery("canvas", broker="memory://", set_as_current=False)
        self.app.conf.update(
            task_default_queue=f"canvas-{uuid4()}",
            result_backend=results,
            polos_auto_migrate=True,
        )
        self.polos = Polos(self.app, url)
        self.flow = _flow()
        self.ended: list[Any] = []

        @self.app.task(name="canvas.prepare", shared=False)
        def prepare(number: int) -> dict[str, int]:
            return {"number": number}

        @self.app.task(name="canvas.finish", shared=False)
        def finish(found: Any) -> Any:
            self.ended.append(found)
            return found

        self.prepare, self.finish = prepare, finish

    def unannounced(self, id_: str) -> bool:
        """Whether the store says that Celery has still to be told of an end."""
        found = self.polos.bound.store.get(id_)
        assert found is not None
        return found.unannounced

    def hint(self, id_: str) -> None:
        """Send a hint for it once more, as the sweep does."""
        assert self.polos.bound.dispatcher.dispatch([Hint.of(self.polos.get(id_))]) == 1

    def lose_messages(self) -> int:
        """The broker forgets; how much it was."""
        lost = 0
        while self.take() is not None:
            lost += 1
        return lost

    def take(self) -> Any:
        """The next message; None where there is none."""
        with self.app.connection_for_read() as connection:
            queue = self.app.amqp.queues[self.app.conf.task_default_queue]
            bound = queue(connection.default_channel)
            bound.declare()
            return bound.get(no_ack=True)

    def deliver(self, message: Any) -> None:
        """Run a message's task, as a worker's pool does."""
        args, kwargs, embedded = message.payload
        headers = message.headers
        request = {**headers, **embedded, "delivery_info": message.delivery_info}
        build_tracer(headers["task"], self.app.tasks[headers["task"]], app=self.app)(
            headers["id"], args, kwargs, request
        )

    def deliver_all(self) -> list[str]:
        """The same for all messages; the names of their tasks."""
        names: list[str] = []
        while (message := self.take()) is not None:
            names.append(message.headers["task"])
            self.deliver(message)
        return names


def _flow() -> Workflow[Any, Any]:
    @workflow(id="canvas-flow")
    async def double(ctx: Any, payload: dict) -> int:
        return int(payload["number"]) * 2

    return double
