"""Messages that no program of good will sends, drawn at random from a seed."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from kombu import Producer

from polos.binding.names import HINT_HEADER

HINT = {HINT_HEADER: True}
# Refused, in the log: "its id …"
IMPOSSIBLE_IDS: tuple[Any, ...] = (
    "x" * 10_000,
    "a\0b",
    "half \ud800",
    "",
    7,
    True,
    1.5,
    [1],
    {"id": 1},
    None,
)
CONTENT_TYPES = (
    "application/json",
    "application/x-python-serialize",
    "application/x-yaml",
    "application/data",
    "text/plain",
    "no type",
    "",
)
ENCODINGS = ("utf-8", "binary", "us-ascii", "utf-16", "zz-9", "")
# What a header or an option may be mutated to; none of it is right for any of them.
WRONG: dict[str, tuple[Any, ...]] = {
    "argsrepr": (5, ["a"]),
    "callbacks": (5, "link", {"a": 1}, [5], [{"task": 5}], [{"task": "t", "args": 3}]),
    "chain": (5, "chain", [None], [{"kwargs": {}}], [["a"]]),
    "chord": (5, "chord", [1], {"task": None}, {"task": "t", "options": 7}),
    "errbacks": (True, [7], [{"task": "t", "kwargs": [1]}]),
    "eta": (5, "soon", "9999-12-31T23:59:59+00:00", ["now"], "0001-01-01T00:00:00"),
    "expires": ("never", {"a": 1}, "9999-12-31T23:59:59+00:00"),
    "group": (5, ["g"], {"g": 1}),
    "group_index": ("first", [1], 2.5),
    "headers": (5, "text", [1]),
    "kwargsrepr": (5, {"a": 1}),
    "origin": (["o"],),
    "parent_id": (5, ["p"]),
    "replaced_task_nesting": ("deep", [1]),
    "retries": ("many", [1], {"a": 1}),
    "root_id": (5, {"r": 1}),
    "shadow": (5, ["s"], {"s": 1}),
    "stamped_headers": (5, "text", [5]),
    "stamps": (5, [1]),
    "timelimit": (5, "long", [1], [-1, -1], ["a", "b"], {"a": 1}, [True, None]),
}
_INSIDE = 0.1
IMPOSSIBLE_NAMES = ("get", "update", "as_execution_options", "__class__", "clear")


@dataclass
class Message:
    """One message as it goes over the wire."""

    body: bytes
    headers: dict[str, Any] = field(default_factory=dict)
    content_type: str = "application/json"
    content_encoding: str = "utf-8"
    properties: dict[str, Any] = field(default_factory=dict)

    def publish(self, producer: Producer, queue: str) -> None:
        producer.publish(
            self.body,
            exchange="",
            routing_key=queue,
            headers=self.headers,
            content_type=self.content_type,
            content_encoding=self.content_encoding,
            **self.properties,
        )


class Rain:
    """Draws messages, and remembers which of them may have started an execution.

    Args:
        tasks: names of tasks that the worker has, each with a payload that its workflow takes.
        targets: ids of honest executions, each with the name of its task.
    """

    def __init__(self, seed: int, tasks: dict[str, Any], targets: dict[str, str]) -> None:
        self._random = random.Random(seed)
        self._tasks = tasks
        self._targets = targets
        self.started: set[str] = set()
        self.unfit: set[str] = set()
        self.refused: set[str] = set()
        self.kinds: dict[str, int] = {}

    def draw(self, count: int) -> Iterator[Message]:
        at_the_door: list[Callable[[], Message]] = [
            self.noise,
            self.json_noise,
            self.noise_for_a_task,
            self.value_for_a_task,
            self.for_a_task_of_celery,
            self.old_protocol,
            self.wrong_option,
            self.wrong_option_for_a_target,
            self.impossible_name,
            self.impossible_id,
        ]
        # These reach the pool and the store, and cost more time than the others.
        inside: list[Callable[[], Message]] = [
            self.stranger,
            self.other_workflow,
            self.twin_of_a_target,
            self.wrong_payload,
            self.wrong_payload_for_a_target,
            self.honest_start,
        ]
        for _ in range(count):
            kind = self._any(inside if self._random.random() < _INSIDE else at_the_door)
            self.kinds[kind.__name__] = self.kinds.get(kind.__name__, 0) + 1
            yield kind()

    def noise(self) -> Message:
        """Bytes of no format."""
        return Message(self._bytes(), {}, self._any(CONTENT_TYPES), self._any(ENCODINGS))

    def json_noise(self) -> Message:
        """JSON that is no task message."""
        headers = self._any(({}, {"task": None}, {"task": ["polos"]}, {"task": {}}, {"id": "x"}))
        return Message(_json(self._value()), dict(headers))

    def noise_for_a_task(self) -> Message:
        made = self.noise()
        made.headers = self._headers(self._fresh()) | self._any(({}, HINT))
        return made

    def value_for_a_task(self) -> Message:
        """A body that is no list of args, kwargs and options."""
        id_ = self._any((self._fresh(), self._target()[0]))
        return Message(_json(self._no_body()), self._headers(id_) | self._any(({}, HINT)))

    def for_a_task_of_celery(self) -> Message:
        """Celery reads these, and dies of some."""
        name = self._any(("celery.chord", "celery.group", "celery.map", "celery.accumulate"))
        headers = {"task": name, "id": self._any(("x", 5, None, ["a"]))}
        return Message(_json(self._no_body()), headers, self._any(CONTENT_TYPES))

    def old_protocol(self) -> Message:
        """Protocol 1: everything is in the body."""
        body: dict[str, Any] = {"task": self._task(), "id": self._fresh(), "args": [], "kwargs": {}}
        name = self._any(("args", "kwargs", "callbacks", "errbacks", "chord", "eta", "timelimit"))
        wrong = {"args": (5, "x", {"a": 1}), "kwargs": (5, [1], "x")}
        body[name] = self._any(wrong.get(name) or WRONG[name])
        self.refused.add(body["id"])
        return Message(_json(body))

    def wrong_option(self) -> Message:
        return self._with_wrong_option(self._task(), self._fresh())

    def wrong_option_for_a_target(self) -> Message:
        id_, task = self._target()
        return self._with_wrong_option(task, id_)

    def impossible_name(self) -> Message:
        """A header or an option that would hide one of Celery's methods, or another option."""
        id_ = self._fresh()
        self.refused.add(id_)
        name = self._any(IMPOSSIBLE_NAMES)
        chance = self._random.random()
        if chance < 0.1:
            return self._message(self._task(), id_, kwargs={"self": 1})
        if chance < 0.5:
            return self._message(self._task(), id_, headers={name: 1})
        taken = self._any(("id", "task", "args", "delivery_info", name))
        return self._message(self._task(), id_, options={taken: self._target()[0]})

    def impossible_id(self) -> Message:
        made = self._message(self._task(), "", headers=self._any(({}, HINT)))
        made.headers["id"] = self._any(IMPOSSIBLE_IDS)
        return made

    def stranger(self) -> Message:
        """A hint for an execution that nobody stored."""
        return self._message(self._task(), self._fresh(), headers=HINT)

    def other_workflow(self) -> Message:
        """An honest execution's id under another workflow's name."""
        id_, task = self._target()
        other = self._any([name for name in self._tasks if name != task])
        payload = self._tasks[other]
        return self._message(other, id_, [payload], headers=self._any(({}, HINT)))

    def twin_of_a_target(self) -> Message:
        """A hint that comes too early or too late, with an ETA or a priority of its own."""
        id_, task = self._target()
        far = self._any((None, "2999-01-01T00:00:00+00:00", "1999-01-01T00:00:00"))
        ahead = self._any((None, -5, 10**9, "soon", [1]))
        headers = HINT | {"eta": far, "polos_ahead": ahead, "expires": "1999-01-01T00:00:00"}
        made = self._message(task, id_, headers=headers)
        made.properties["priority"] = self._any((0, 3, 9, 255))
        return made

    def wrong_payload(self) -> Message:
        """A start whose payload fits no workflow."""
        id_ = self._fresh()
        self.unfit.add(id_)
        return self._with_wrong_payload(self._task(), id_)

    def wrong_payload_for_a_target(self) -> Message:
        id_, task = self._target()
        return self._with_wrong_payload(task, id_)

    def honest_start(self) -> Message:
        """One from a program without Polos."""
        task, id_ = self._task(), self._fresh()
        self.started.add(id_)
        return self._message(task, id_, [self._tasks[task]])

    def _with_wrong_payload(self, task: str, id_: str) -> Message:
        args, kwargs = self._any(
            (
                ([5], {}),
                (["text"], {}),
                ([[1, 2]], {}),
                ([{"number": 1}, {"number": 2}], {}),
                ([{"number": 1}], {"number": 2}),
                ([{"number": "many"}], {}),
                ([], {"nul\0": "\ud800"}),
                ([], {}),
            )
        )
        return self._message(task, id_, args, kwargs)

    def _with_wrong_option(self, task: str, id_: str) -> Message:
        name = self._any(sorted(WRONG))
        wrong = self._any(WRONG[name])
        embedded = name in ("callbacks", "errbacks", "chain", "chord")
        place = "options" if embedded and self._random.random() < 0.8 else "headers"
        headers = self._any(({}, HINT))
        if place == "headers":
            headers = headers | {name: wrong}
        options = {name: wrong} if place == "options" else {}
        if id_ not in self._targets:
            self.refused.add(id_)
        payload = self._tasks.get(task, {})
        return self._message(task, id_, [payload], headers=headers, options=options)

    def _message(
        self,
        task: str,
        id_: str,
        args: Any = (),
        kwargs: Any = None,
        *,
        headers: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
    ) -> Message:
        made = {**self._headers(id_), "task": task, **(headers or {})}
        return Message(_json([list(args), kwargs or {}, options or {}]), made)

    def _headers(self, id_: str) -> dict[str, Any]:
        return {"lang": "py", "task": self._task(), "id": id_, "retries": 0, "origin": "rain"}

    def _fresh(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def _task(self) -> str:
        return self._any(sorted(self._tasks))

    def _target(self) -> tuple[str, str]:
        return self._any(sorted(self._targets.items()))

    def _any(self, values: Any) -> Any:
        return self._random.choice(list(values))

    def _bytes(self) -> bytes:
        return self._random.randbytes(self._random.choice((0, 1, 7, 64, 900)))

    def _no_body(self) -> Any:
        """JSON that is not the list of args, kwargs and options which Celery runs."""
        value = self._value()
        return [*value, None] if isinstance(value, list) and len(value) == 3 else value

    def _value(self, depth: int = 0) -> Any:
        leaves: tuple[Any, ...] = (None, True, 0, -1, 1e300, "", "text", "\0", "\ud800", 10**30)
        if depth > 2 or self._random.random() < 0.4:
            return self._any(leaves)
        size = self._random.randrange(5)
        if self._random.random() < 0.5:
            return [self._value(depth + 1) for _ in range(size)]
        letters = string.ascii_lowercase
        return {self._any(letters): self._value(depth + 1) for _ in range(size)}


def huge(task: str, ids: list[str]) -> Iterator[Message]:
    """Bodies of several megabytes: noise, a hint, and a payload over the limit of values."""
    yield Message(random.Random(1).randbytes(5_000_000), {}, "application/data", "binary")
    yield Message(b"[" * 2_000_000, {"task": task, "id": ids[0]})
    yield Message(_json([["x" * 3_000_000], {}, {}]), {"task": task, "id": ids[1]} | HINT)
    yield Message(_json([[{"text": "x" * 5_000_000}], {}, {}]), {"task": task, "id": ids[2]})


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
