"""Sends hints to Redis as Celery and kombu would, without asking them each time.

Hints of one workflow, queue and priority differ in the execution's id, the tag of the delivery and
the reason that people read. So what Celery and kombu make of a first and a second one is watched on
its way to Redis. Where the second is the first with these three exchanged, the others are made so
too, byte for byte, and many of them go in one round trip. Anything that would look at each message,
as a router, a signal or an event does, is left to Celery; so is any other transport.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from celery import Celery, signals
from celery.app.routes import MapRoute
from kombu.utils.uuid import uuid

from polos.model.records import Hint

_Kind: TypeAlias = tuple[str, str | None, int | None]

# What JSON writes as it is, and long enough to stand nowhere else in a message.
_plain = re.compile(r"[A-Za-z0-9_-]{16,255}").fullmatch
_ID, _TAG, _REASON = "\0id", "\0tag", "\0reason"
_MOST_KINDS = 1000
# Kinds whose messages differ in more are watched so often, and then no more.
_MOST_LOOKS = 6
_AT_ONCE = 500


class Seen(NamedTuple):
    """One message on its way to Redis: the hint, the key of the list and the message's text."""

    hint: Hint
    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Template:
    """The messages of one kind: where they go, and their text with three gaps."""

    key: str
    text: str

    @classmethod
    def of(cls, seen: Seen) -> Template:
        """The template that gives this message."""
        text = seen.text.replace(_reason(seen.hint), _REASON)
        text = text.replace(seen.hint.execution_id, _ID)
        return cls(seen.key, text.replace(_tag(seen.text), _TAG))

    def gives(self, seen: Seen) -> bool:
        """Whether another message is what this template would make of its hint."""
        return self.key == seen.key and self.fill(seen.hint, _tag(seen.text)) == seen.text

    def fill(self, hint: Hint, tag: str) -> str:
        """The message of a hint."""
        text = self.text.replace(_ID, hint.execution_id).replace(_TAG, tag)
        return text.replace(_REASON, _reason(hint))


class Templates:
    """The templates of one process.

    Args:
        app: the Celery app whose messages they are.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._ready: dict[_Kind, Template] = {}
        self._first: dict[_Kind, Seen] = {}
        self._looks: dict[_Kind, int] = {}
        self._clients: dict[Any, Any] = {}
        self._made_by: tuple[Any, ...] = ()
        self._pid = os.getpid()

    def check(self) -> bool:
        """Whether Celery would send the same now, and nobody wants to hear of each message."""
        if self._pid != os.getpid():
            # Messages name the process that sent them.
            self.forget()
            self._pid = os.getpid()
        current = not self._made_by or self._made_by == self._makers()
        return current and not _is_listened_to()

    def have(self, hint: Hint) -> bool:
        """Whether the message of a hint can be made here."""
        return _kind(hint) in self._ready and _is_plain(hint)

    def send(self, producer: Any, hints: Sequence[Hint]) -> None:
        """Publish hints for which there are templates; any error means that some may be missing."""
        client = self._client(producer.channel)
        for start in range(0, len(hints), _AT_ONCE):
            lists: dict[str, list[str]] = {}
            for hint in hints[start : start + _AT_ONCE]:
                template = self._ready[_kind(hint)]
                lists.setdefault(template.key, []).append(template.fill(hint, uuid()))
            _push(client, lists)

    @contextmanager
    def watching(self, producer: Any, hint: Hint) -> Iterator[None]:
        """Learn from the message that Celery sends in this block."""
        channel = self._channel_to_watch(producer, hint)
        if channel is None:
            yield
            return
        sent: list[tuple[Any, ...]] = []
        given = channel.conn_or_acquire
        channel.conn_or_acquire = _spied(given, sent)
        try:
            yield
        finally:
            del channel.conn_or_acquire
        match sent:
            case [("lpush", str(key), str(text))]:
                self._learn(Seen(hint, key, text))
            case _:
                pass

    def forget(self) -> None:
        """Let Celery and kombu send, and so declare queues, anew."""
        for known in (self._ready, self._first, self._looks, self._clients):
            known.clear()

    def _channel_to_watch(self, producer: Any, hint: Hint) -> Any:
        kind = _kind(hint)
        connection = producer.connection
        if not _is_plain(hint) or kind in self._ready or self._looks.get(kind, 0) >= _MOST_LOOKS:
            return None
        # A connection that is not there yet is made in Celery's way, with its retries and errors.
        if not connection.connected or connection.transport.driver_type != "redis":
            return None
        if _is_listened_to() or not self._is_routed_by_tables():
            return None
        if self._made_by != self._makers() or len(self._looks) >= _MOST_KINDS:
            self.forget()
            self._made_by = self._makers()
        self._looks[kind] = self._looks.get(kind, 0) + 1
        return producer.channel if hasattr(producer.channel, "conn_or_acquire") else None

    def _learn(self, seen: Seen) -> None:
        kind = _kind(seen.hint)
        first = self._first.pop(kind, None)
        self._first[kind] = seen
        if first is None or first.hint.execution_id == seen.hint.execution_id:
            return
        template = Template.of(first)
        if template.gives(seen):
            self._ready[kind] = template
            del self._first[kind]

    def _makers(self) -> tuple[Any, ...]:
        amqp: Any = self._app.amqp
        return (amqp.router, amqp.create_task_message, amqp.send_task_message)

    def _is_routed_by_tables(self) -> bool:
        conf: Any = self._app.conf
        routes: Sequence[Any] = self._app.amqp.router.routes
        return not conf.task_send_sent_event and all(type(it) is MapRoute for it in routes)

    def _client(self, channel: Any) -> Any:
        # Making a client takes longer than sending a message.
        if channel not in self._clients:
            with channel.conn_or_acquire() as client:
                self._clients[channel] = client
        return self._clients[channel]


def _push(client: Any, lists: dict[str, list[str]]) -> None:
    if len(lists) == 1:
        [(key, texts)] = lists.items()
        client.lpush(key, *texts)
        return
    with client.pipeline(transaction=False) as pipe:
        for key, texts in lists.items():
            pipe.lpush(key, *texts)
        pipe.execute()


def _spied(acquire: Callable[..., Any], sent: list[tuple[Any, ...]]) -> Callable[..., Any]:
    @contextmanager
    def acquired(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with acquire(*args, **kwargs) as client:
            yield _Spy(client, sent)

    return acquired


class _Spy:
    """A client of Redis that notes what is asked of it, and does it."""

    def __init__(self, client: Any, sent: list[tuple[Any, ...]]) -> None:
        self._client = client
        self._sent = sent

    def lpush(self, *args: Any) -> Any:
        """Push values on a list."""
        self._sent.append(("lpush", *args))
        return self._client.lpush(*args)

    def __getattr__(self, name: str) -> Any:
        self._sent.append((name,))
        return getattr(self._client, name)


def _is_listened_to() -> bool:
    """Whether somebody wants to hear of each message, and may change it."""
    found = (signals.before_task_publish, signals.after_task_publish, signals.task_sent)
    return any(signal.receivers for signal in found)


def _kind(hint: Hint) -> _Kind:
    return (hint.workflow_id, hint.queue, hint.priority)


def _is_plain(hint: Hint) -> bool:
    return not (hint.celery_options or hint.countdown) and bool(_plain(hint.execution_id))


def _tag(text: str) -> str:
    tag = str(json.loads(text)["properties"]["delivery_tag"])
    return tag if _plain(tag) else text


def _reason(hint: Hint) -> str:
    return _as_json(f"({hint.reason})")


@lru_cache(maxsize=256)
def _as_json(text: str) -> str:
    return json.dumps(text)
