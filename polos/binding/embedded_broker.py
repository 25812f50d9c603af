"""The embedded brokers: kombu's filesystem and memory transports, a little adapted.

kombu opens a file before it locks and fills it, so that a neighbour can read a message or a table
of bindings that is still empty. Here both appear under their names only when they are whole.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from time import monotonic
from typing import Any

from celery.exceptions import WorkerShutdown
from kombu.transport import TRANSPORT_ALIASES, filesystem, memory
from kombu.transport.filesystem import exchange_queue_t
from kombu.utils.json import dumps, loads

log = logging.getLogger("polos.broker")

SCHEME = "embedded"
MEMORY_SCHEME = "embedded-memory"
# The transport option that holds the event by which one worker is told to stop.
STOP = "polos_stop"
# Celery's loop looks at its flags between two waits of 2 s; it would take 4 s to stop.
_DRAIN = 0.1


class StopEvent(threading.Event):
    """Tells one worker to stop."""

    def __json__(self) -> bool:
        """What a worker that is asked for its statistics tells of it, as of all its options."""
        return self.is_set()


class Channel(filesystem.Channel):
    """A channel whose files are always whole."""

    def get_table(self, exchange: str) -> list[Any]:
        """The bindings of an exchange."""
        try:
            data = self._exchange_file(exchange).read_text()
        except FileNotFoundError:
            return []
        return [exchange_queue_t(*row) for row in loads(data)]

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        row = exchange_queue_t(routing_key or "", pattern or "", queue or "")
        if row in self.get_table(exchange):
            return
        with self._alone(exchange):
            table = self.get_table(exchange)
            if row not in table:
                self._write_table(exchange, [row, *table])

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str, *_: Any) -> None:
        self._purge(queue)
        row = exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._alone(exchange):
            table = self.get_table(exchange)
            if row in table:
                table.remove(row)
                self._write_table(exchange, table)

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        """The next message; a file that holds none is gone with its first reading."""
        try:
            found = super()._get(queue)
            # kombu does both where an error ends the worker.
            hash(self.message_to_python(found).delivery_tag)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            log.error("a file in the queue %s is no message and was removed: %r", queue, error)
            raise Empty from error
        return found

    def _put(self, queue: str, *message: Any, **_: Any) -> None:
        name = f"{round(monotonic() * 1000):015d}_{uuid.uuid4()}.{queue}.msg"
        _write_whole(Path(self.data_folder_out) / name, dumps(message[0]))

    def _write_table(self, exchange: str, table: list[Any]) -> None:
        _write_whole(self._exchange_file(exchange), dumps(table))

    @contextmanager
    def _alone(self, exchange: str) -> Iterator[None]:
        with self._exchange_file(exchange).with_suffix(".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class FileTransport(filesystem.Transport):
    """Across processes; what is behind ``embedded://``."""

    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> Any:
        """Wait for a message, no longer than a worker that is to stop should take."""
        _raise_if_stopped(self)
        return super().drain_events(connection, timeout=min(timeout or _DRAIN, _DRAIN))


class MemoryTransport(memory.Transport):
    """Within one process."""

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> Any:
        """Wait for a message, no longer than a worker that is to stop should take."""
        _raise_if_stopped(self)
        return super().drain_events(connection, timeout=min(timeout or _DRAIN, _DRAIN))


def _raise_if_stopped(transport: Any) -> None:
    # Celery's own flags stop all workers of a process; this one stops a single worker.
    stop = transport.client.transport_options.get(STOP)
    if stop is not None and stop.is_set():
        raise WorkerShutdown(0)


def install() -> None:
    """Make the schemes known to kombu."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:FileTransport"
    TRANSPORT_ALIASES[MEMORY_SCHEME] = f"{__name__}:MemoryTransport"


def _write_whole(file: Path, text: str) -> None:
    # Hidden from readers, who look for names that end in .msg or .exchange.
    draft = file.with_name(f".{uuid.uuid4()}.draft")
    draft.write_text(text)
    os.replace(draft, file)
