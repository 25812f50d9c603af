"""A plain model of the programs: it knows no crash, no database and no event loop.

It can tell what a program comes to where that doesn't depend on chance, which ``determined`` makes
of any program: there losers never end, and at most one branch fails where others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from polos.errors import StepExecutionError
from polos.model.records import Kind
from tests.programs.syntax import (
    MONTH,
    Child,
    Draw,
    Fail,
    First,
    Gather,
    Group,
    InOrder,
    Limited,
    Loop,
    Node,
    Seq,
    Step,
    Try,
    Wait,
    changed,
)


class Never(Exception):
    """It waits for longer than anybody looks."""


@dataclass(frozen=True)
class Drawn:
    """A value that only the checkpoint of its key knows, in the child of a child of these keys."""

    key: str
    within: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mark:
    """What is to be recorded under a key.

    Attributes:
        needed: whether it must be there; a branch that was cancelled may not have come so far.
        error: the type and text of its error.
    """

    kind: Kind
    value: Any = None
    error: tuple[str, str] | None = None
    attempts: int = 1
    needed: bool = True


@dataclass
class Expected:
    """What a program comes to.

    Attributes:
        value: its result, unless there is an error.
        error: the type and text of its error.
        ends: whether it ends at all.
        marks: what is to be recorded.
        children: what its children come to, by their keys, and whether each must be there.
    """

    value: Any = None
    error: tuple[str, str] | None = None
    ends: bool = True
    marks: dict[str, Mark] = field(default_factory=dict)
    children: dict[str, tuple[Expected, bool]] = field(default_factory=dict)


def expected(program: Node) -> Expected:
    """What a determined program comes to."""
    model = _Model()
    found = model.expected
    try:
        found.value = model.run(program, "top")
    except StepExecutionError as error:
        found.error = (error.error_type, error.reason)
    except RuntimeError as error:
        found.error = ("RuntimeError", str(error))
    except Never:
        found.ends = False
    return found


def fails(node: Node) -> bool:
    """Whether a determined program ends with an error."""
    return expected(node).error is not None


class _Model:
    def __init__(self) -> None:
        self.expected = Expected()
        self._needed = True
        self._rules: dict[type[Node], Callable[[Any, str], Any]] = {
            Step: self._step,
            Wait: self._wait,
            Draw: self._draw,
            Fail: self._fail,
            Seq: lambda node, path: [
                self.run(part, f"{path}.{n}") for n, part in enumerate(node.parts)
            ],
            Loop: lambda node, path: [
                self.run(node.body, f"{path}#{n}") for n in range(node.times)
            ],
            Try: self._try,
            Gather: self._gather,
            Limited: lambda node, path: self._gather(Gather(node.parts, True), path),
            Group: self._group,
            First: self._first,
            Child: self._child,
        }

    def run(self, node: Node, path: str) -> Any:
        return self._rules[type(node)](node, path)

    @contextmanager
    def _perhaps(self, perhaps: bool = True) -> Iterator[None]:
        before = self._needed
        self._needed = before and not perhaps
        try:
            yield
        finally:
            self._needed = before

    def _mark(self, key: str, kind: Kind, **what: Any) -> None:
        self.expected.marks[key] = Mark(kind, needed=self._needed, **what)

    def _step(self, node: Step, path: str) -> int:
        if node.delay >= MONTH and node.fails and node.retries:
            raise Never
        attempts = min(node.fails, node.retries) + 1
        if node.fails > node.retries:
            error = ("ValueError", f"no {node.value}")
            self._mark(path, Kind.STEP, error=error, attempts=attempts)
            raise StepExecutionError(error[1], path, attempts, error[0])
        self._mark(path, Kind.STEP, value=node.value, attempts=attempts)
        return node.value

    def _wait(self, node: Wait, path: str) -> None:
        if node.millis >= MONTH:
            raise Never
        self._mark(path, Kind.TIMER)

    def _draw(self, node: Draw, path: str) -> Drawn:
        self._mark(path, Kind(node.what), value=Drawn(path))
        return Drawn(path)

    def _fail(self, node: Fail, path: str) -> None:
        raise RuntimeError(node.text)

    def _try(self, node: Try, path: str) -> list[Any]:
        try:
            found = ["ok", self.run(node.body, f"{path}.body")]
        except RuntimeError as error:
            if node.handler is None:
                self._final(node, path)
                raise
            try:
                found = ["caught", str(error), self.run(node.handler, f"{path}.except")]
            except (RuntimeError, Never) as again:
                self._final(node, path, perhaps=isinstance(again, Never))
                raise
        except Never:
            self._final(node, path, perhaps=True)
            raise
        self._final(node, path)
        return found

    def _final(self, node: Try, path: str, *, perhaps: bool = False) -> None:
        if node.final is not None:
            with self._perhaps(perhaps):
                self.run(node.final, f"{path}.finally")

    def _branches(self, parts: tuple[Node, ...], path: str) -> list[Any]:
        """What each branch comes to; an error stands for itself."""
        found: list[Any] = []
        for n, part in enumerate(parts):
            try:
                found.append(self.run(part, f"{path}.{n}"))
            except (RuntimeError, Never) as error:
                found.append(error)
        return found

    def _gather(self, node: Gather, path: str) -> list[Any]:
        failing = [part for part in node.parts if not node.collect and fails(part)]
        with self._perhaps(bool(failing)):
            found = self._branches(node.parts, path)
        if failing:
            self._again_needed(node, path, failing[0])
        for one in found:
            if isinstance(one, Never) or (isinstance(one, Exception) and not node.collect):
                raise one
        return [["error", str(one)] if isinstance(one, Exception) else one for one in found]

    def _group(self, node: Group, path: str) -> list[Any]:
        try:
            return self._gather(Gather(node.parts), path)
        except RuntimeError as error:
            raise RuntimeError(str(error)) from None

    def _again_needed(self, node: Gather, path: str, failing: Node) -> None:
        """What the branch that fails does is always done."""
        try:
            self.run(failing, f"{path}.{node.parts.index(failing)}")
        except RuntimeError:
            return

    def _first(self, node: First, path: str) -> list[Any]:
        assert node.winner is not None
        with self._perhaps():
            losers = self._branches(
                node.parts[: node.winner] + (Seq(()),) + node.parts[node.winner + 1 :], path
            )
        assert all(isinstance(one, Never) for n, one in enumerate(losers) if n != node.winner)
        return [[node.winner, self.run(node.parts[node.winner], f"{path}.{node.winner}")]]

    def _child(self, node: Child, path: str) -> Any:
        child = expected(node.program)
        self.expected.children[path] = (child, self._needed)
        if not node.waits:
            self._mark(path, Kind.INVOKE, value=Drawn(path))
            return Drawn(path)
        if not child.ends:
            raise Never
        value = _from_child(child.value, path)
        self._mark(path, Kind.CHILD, value=value, error=child.error)
        if child.error is not None:
            raise StepExecutionError(child.error[1], path, 1, child.error[0])
        return value


def _from_child(value: Any, key: str) -> Any:
    if isinstance(value, Drawn):
        return Drawn(value.key, (key, *value.within))
    return [_from_child(one, key) for one in value] if isinstance(value, list) else value


def determined(node: Node) -> Node:
    """The program, made so that chance can't change what it comes to."""
    match node:
        case Seq(parts):
            return Seq(tuple(determined(part) for part in parts))
        case Loop(times, body):
            return Loop(times, determined(body))
        case Try(body, handler, final):
            return Try(
                determined(body),
                None if handler is None else determined(handler),
                None if final is None else determined(final),
            )
        case Gather(parts, collect):
            made = tuple(determined(part) for part in parts)
            return Gather(made, collect or sum(map(fails, made)) > 1)
        case Limited(parts, most):
            return Limited(tuple(determined(part) for part in parts), most)
        case InOrder(parts):
            return Gather(tuple(determined(part) for part in parts), collect=True)
        case Group(parts):
            return Group(_one_failing([determined(part) for part in parts]))
        case First(parts):
            made = tuple(determined(part) for part in parts)
            winner = len(repr(node)) % len(made)  # any one will do, but always the same
            return First(
                tuple(part if n == winner else _endless(part) for n, part in enumerate(made)),
                winner,
            )
        case Child(program):
            return replace(node, program=determined(program))
    return node


def _calm(node: Node) -> Node:
    return Try(node, Seq(())) if fails(node) else node


def _one_failing(parts: list[Node]) -> tuple[Node, ...]:
    failing = [n for n, part in enumerate(parts) if fails(part)]
    return tuple(_calm(part) if n in failing[1:] else part for n, part in enumerate(parts))


def _endless(node: Node) -> Node:
    """A program that begins in the same way and never ends."""
    # Up to Python 3.12 a group whose parts failed forgets that it was cancelled meanwhile.
    node = changed(node, lambda part: Gather(part.parts, True) if isinstance(part, Group) else part)
    match node:
        case Child(program, True):
            return Child(_endless(program))
        case Step(fails=fails_) if fails_:
            return replace(node, retries=fails_, delay=MONTH)
        case Try(body, handler, final):
            quiet = None if final is None else _calm(final)
            return Try(_endless(_calm(body)), handler, quiet)
    return Seq((_calm(node), Wait(MONTH)))
