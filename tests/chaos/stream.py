"""The stream of executions: every kind in turn, so many at a time, until it is told to end."""

from __future__ import annotations

import gc
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from celery import chain, chord
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from polos import PolosClient
from polos.errors import StoreUnavailable
from tests.chaos import flows
from tests.chaos.setups import Setup

_COUNTS = text(
    "SELECT count(*), coalesce(sum(CASE WHEN workflow_id <> 'chaos-sleeper' "
    "AND status IN ('queued', 'running', 'waiting') THEN 1 ELSE 0 END), 0) FROM polos_executions"
)
# Sleepers are cancelled this long after their start.
_SLEEP = (0.0, 3.0)


def _seconds(rng: random.Random) -> float:
    """How long effects take: mostly nothing, sometimes long enough to be hit."""
    return rng.choice((0.0, 0.02, 0.1, 0.3, 0.6))


def _wait(rng: random.Random) -> float:
    """One that is slept in place, one with a countdown, or one that the sweep ends."""
    return rng.choice((0.2, 0.7, 1.5, rng.uniform(2.5, 5.0)))


Make = Callable[[random.Random], dict[str, Any]]
# What is started, and what it is given; chains and chords are made of links.
PAYLOADS: dict[str, Make] = {
    "chaos-steps": lambda it: {"count": it.randint(1, 6), "seconds": _seconds(it)},
    "chaos-plain": lambda it: {"add": it.randint(1, 9), "seconds": _seconds(it), "wait": _wait(it)},
    "chaos-retries": lambda it: {"failures": it.randint(1, 2), "delay": it.choice((0.1, 0.8))},
    "chaos-hopeless": lambda it: {},
    "chaos-waits": lambda it: {"waits": [_wait(it) for _ in range(it.randint(1, 3))]},
    "chaos-deep": lambda it: {"depth": 3, "seconds": _seconds(it), "wait": _wait(it)},
    "chaos-fan": lambda it: {
        "branches": it.randint(3, 7),
        "seconds": _seconds(it),
        "wait": _wait(it),
    },
    "chaos-first": lambda it: {"seconds": _seconds(it), "wait": it.choice((0.2, 0.7, 1.5))},
    "chaos-order": lambda it: {"seconds": _seconds(it), "wait": _wait(it)},
    "chaos-writes": lambda it: {"count": it.randint(1, 4), "seconds": _seconds(it)},
    "chaos-tasks": lambda it: {"members": it.randint(1, 4), "seconds": _seconds(it)},
    "chaos-derived": lambda it: {"seconds": _seconds(it), "wait": _wait(it)},
    "chaos-starter": lambda it: {"children": it.randint(1, 3), "seconds": _seconds(it)},
    "chaos-whole-retries": lambda it: {
        "tries": it.randint(1, 2),
        "child": it.random() < 0.5,
        "seconds": _seconds(it),
    },
    "chaos-late": lambda it: {},
    "chaos-sleeper": lambda it: {"child": it.random() < 0.5},
    "chain": lambda it: {"text": "a", "wait": it.choice((0, _wait(it)))},
    "chord": lambda it: {"text": "b", "wait": it.choice((0, _wait(it)))},
}


@dataclass
class Started:
    """What the stream has started, and so what must be there in the end.

    Attributes:
        roots: the payload of each execution that has no parent.
        maybe: the same for those whose start broke off; they may be there.
        follow: for each execution that Celery starts, those that must have ended before.
    """

    roots: dict[str, dict[str, Any]] = field(default_factory=dict)
    maybe: dict[str, dict[str, Any]] = field(default_factory=dict)
    follow: dict[str, list[str]] = field(default_factory=dict)


class Stream:
    """Starts executions in a thread of its own.

    Args:
        setup: where.
        seed: of what is drawn.
        most_open: no more than so many are under way at once.
        least: it does not end before there are so many, with their children.
    """

    def __init__(self, setup: Setup, seed: int, most_open: int, least: int) -> None:
        self.started = Started()
        self.error: BaseException | None = None
        self._setup = setup
        self._rng = random.Random(f"{seed} stream")
        self._most_open = most_open
        self._least = least
        self._client: PolosClient = setup.stack.client()
        if setup.results:
            self._client.bound.app.conf.result_backend = setup.results
        self._to_cancel: list[tuple[float, str]] = []
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self, deadline: float) -> None:
        """Start no more than the least that was wished, cancel what is to be, and end."""
        self._enough.set()
        self._thread.join(deadline)
        assert not self._thread.is_alive(), "the stream can't start its executions"
        self._client.close()
        gc.collect()  # results that are forgotten after their backend is gone complain
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while not self._enough.is_set() or self._counts()[0] < self._least:
                for kind in self._rng.sample(list(PAYLOADS), len(PAYLOADS)):
                    self._wait_for_room()
                    self._start_one(kind)
                    self._cancel_some()
            while self._to_cancel:
                self._cancel_some()
                time.sleep(0.1)
        except BaseException as error:
            self.error = error

    def _wait_for_room(self) -> None:
        while self._counts()[1] >= self._most_open:
            time.sleep(0.1)
            self._cancel_some()

    def _counts(self) -> tuple[int, int]:
        """How many executions there are, and how many are under way; full while none can say."""
        try:
            with self._setup.direct.connect() as connection:
                there, open_ = connection.execute(_COUNTS).one()
                return int(there), int(open_)
        except SQLAlchemyError:
            return 0, self._most_open

    def _start_one(self, kind: str) -> None:
        payload = PAYLOADS[kind](self._rng)
        if kind == "chain":
            self._start_chain(payload)
        elif kind == "chord":
            self._start_chord(payload)
        else:
            self._start_execution(kind, payload)

    def _start_execution(self, workflow_id: str, payload: dict[str, Any]) -> None:
        id_ = str(uuid4())
        workflow = _workflow(workflow_id)
        # The same key again: whether the first one was written is not known after a lost answer.
        self._until_stored(
            lambda: workflow.start(self._client, payload or None, idempotency_key=id_)
        )
        [found] = self._until_stored(lambda: self._ids(id_))
        self.started.roots[found] = payload
        if workflow_id == "chaos-sleeper":
            self._to_cancel.append((time.monotonic() + self._rng.uniform(*_SLEEP), found))

    def _ids(self, key: str) -> list[str]:
        query = text("SELECT id FROM polos_executions WHERE idempotency_key = :key")
        try:
            with self._setup.direct.connect() as connection:
                return [row[0] for row in connection.execute(query, {"key": key})]
        except SQLAlchemyError as error:
            raise StoreUnavailable("past the proxy", str(error)) from error

    def _start_chain(self, payload: dict[str, Any]) -> None:
        link = self._client.bound.app.tasks["polos.chaos-link"]
        ids = [str(uuid4()) for _ in range(3)]
        first, *others = ids
        links = [link.s(payload).set(task_id=first)]
        links += [link.s().set(task_id=id_) for id_ in others]
        given = {
            id_: payload | {"text": payload["text"] + "+" * number}
            for number, id_ in enumerate(ids)
        }
        if self._stored_whole(chain(links).apply_async, given):
            self.started.follow |= {ids[1]: [ids[0]], ids[2]: [ids[1]]}

    def _start_chord(self, payload: dict[str, Any]) -> None:
        if not self._setup.results:
            return
        tasks = self._client.bound.app.tasks
        parts, body = [str(uuid4()) for _ in range(3)], str(uuid4())
        given = {"text": "knot"}
        header = [tasks["polos.chaos-link"].s(payload).set(task_id=id_) for id_ in parts]
        tie = tasks["polos.chaos-knot"].si(given).set(task_id=body)
        # The body comes, too, if only the answer to the last of the parts was lost.
        started = dict.fromkeys(parts, payload) | {body: given}
        if self._stored_whole(lambda: chord(header)(tie), started):
            self.started.follow[body] = parts

    def _stored_whole(self, start: Callable[[], Any], given: dict[str, dict[str, Any]]) -> bool:
        """Start what Celery can't start a second time: its group would have another id."""
        try:
            start()
        except StoreUnavailable:
            self.started.maybe |= given
            return False
        self.started.roots |= given
        return True

    def _cancel_some(self) -> None:
        now = time.monotonic()
        for entry in [entry for entry in self._to_cancel if entry[0] <= now]:
            try:
                self._client.cancel(entry[1])
            except StoreUnavailable:
                continue
            self._to_cancel.remove(entry)

    def _until_stored(self, start: Callable[[], Any]) -> Any:
        while True:
            try:
                return start()
            except StoreUnavailable:
                time.sleep(0.2)


def _workflow(workflow_id: str) -> Any:
    found = {
        value.id: value for value in vars(flows).values() if getattr(value, "id", None) is not None
    }
    return found[workflow_id]
