"""Programs as data: what one interpreter workflow runs, and a plain model evaluates.

A program is a tree of frozen nodes. Each node that is a step has its path in the tree as its key,
so that keys are unique. A node's ``repr`` is Python that makes it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

# The milliseconds of a wait that nobody sits out.
MONTH = 30 * 86_400_000


class Node:
    """A part of a program."""

    def __repr__(self) -> str:
        given = [(field.name, getattr(self, field.name), field.default) for field in fields(self)]  # type: ignore[arg-type]
        told = [
            f"{name}={value!r}" if default is not MISSING else repr(value)
            for name, value, default in given
            if default is MISSING or value != default
        ]
        return f"{type(self).__name__}({', '.join(told)})"


@dataclass(frozen=True, repr=False)
class Step(Node):
    """``ctx.step.run``: fails so many times, then returns its value; ``retries`` may be too few.

    ``how`` is a plain function, an async one that returns at once, or one that sleeps a little;
    ``delay`` is the milliseconds of its back-off.
    """

    value: int
    fails: int = 0
    retries: int = 0
    delay: int = 1
    how: Literal["plain", "async", "sleeps"] = "plain"


@dataclass(frozen=True, repr=False)
class Wait(Node):
    """``ctx.step.wait_for``, in milliseconds."""

    millis: int


@dataclass(frozen=True, repr=False)
class Draw(Node):
    """``ctx.step.uuid``, ``now`` or ``random``."""

    what: Literal["uuid", "now", "random"]


@dataclass(frozen=True, repr=False)
class Fail(Node):
    """The workflow's own code raises."""

    text: str


@dataclass(frozen=True, repr=False)
class Seq(Node):
    """One after the other; each is given what the one before came to."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, repr=False)
class Loop(Node):
    """The same so many times."""

    times: int
    body: Node


@dataclass(frozen=True, repr=False)
class Try(Node):
    """``try`` … ``except`` … ``finally``; without a handler the error goes on."""

    body: Node
    handler: Node | None = None
    final: Node | None = None


@dataclass(frozen=True, repr=False)
class Gather(Node):
    """``asyncio.gather``; ``collect`` is ``return_exceptions``."""

    parts: tuple[Node, ...]
    collect: bool = False


@dataclass(frozen=True, repr=False)
class Limited(Node):
    """A gather that collects errors, in which so many may go on at a time: a semaphore."""

    parts: tuple[Node, ...]
    most: int = 1


@dataclass(frozen=True, repr=False)
class Group(Node):
    """``asyncio.TaskGroup``: one that fails cancels the others."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, repr=False)
class First(Node):
    """The first one wins, the others are cancelled and awaited.

    ``winner`` is for programs whose winner is known: the others in them never end.
    """

    parts: tuple[Node, ...]
    winner: int | None = None


@dataclass(frozen=True, repr=False)
class InOrder(Node):
    """``asyncio.as_completed``: what the parts came to, in the order in which they ended."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, repr=False)
class Child(Node):
    """``ctx.step.invoke_and_wait``, or ``invoke``, of a program."""

    program: Node
    waits: bool = True


_KINDS = {kind.__name__: kind for kind in Node.__subclasses__()}


def to_data(node: Any) -> Any:
    """A program as plain data, which is the interpreter's payload."""
    if isinstance(node, Node):
        values = {field.name: to_data(getattr(node, field.name)) for field in fields(node)}  # type: ignore[arg-type]
        return {"is": type(node).__name__, **values}
    return [to_data(part) for part in node] if isinstance(node, tuple) else node


def from_data(data: Any) -> Any:
    """The program of plain data."""
    if isinstance(data, dict):
        values = {name: from_data(value) for name, value in data.items() if name != "is"}
        return _KINDS[data["is"]](**values)
    return tuple(from_data(part) for part in data) if isinstance(data, list) else data


def changed(node: Node, change: Callable[[Any], Node]) -> Node:
    """The program with each of its nodes changed, from the leaves up."""

    def under(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(under(part) for part in value)
        return changed(value, change) if isinstance(value, Node) else value

    values = {field.name: under(getattr(node, field.name)) for field in fields(node)}  # type: ignore[arg-type]
    return change(type(node)(**values))


def under(node: Any, path: str) -> list[tuple[Node, str]]:
    """The parts of a node, each with its path, in the order in which they are written."""
    match node:
        case Loop(times, body):
            return [(body, f"{path}#{n}") for n in range(times)]
        case Try(body, handler, final):
            parts = [(body, "body"), (handler, "except"), (final, "finally")]
            return [(part, f"{path}.{name}") for part, name in parts if part is not None]
    return [(part, f"{path}.{n}") for n, part in enumerate(getattr(node, "parts", ()))]
