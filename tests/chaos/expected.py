"""What an execution must come to: from its payload, and from what its ledger says."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.chaos.ledger import Line, Phase

Payload = Mapping[str, Any]
# From the payload, the result and the lines: what is wrong, or nothing.
Judge = Callable[[Payload, Any, Sequence[Line]], str | None]


def _equal(to: Callable[[Payload], Any]) -> Judge:
    def judge(payload: Payload, result: Any, lines: Sequence[Line]) -> str | None:
        wanted = to(payload)
        return None if result == wanted else f"its result is {result!r}, not {wanted!r}"

    return judge


def _sum(count: int) -> int:
    return sum(range(count))


def _fan(payload: Payload) -> list[int]:
    return [_sum(n) if n % 3 == 2 else n for n in range(payload["branches"])]


def _begun(lines: Sequence[Line]) -> set[str]:
    return {line.step for line in lines if line.phase is Phase.BEGIN}


def _first(payload: Payload, result: Any, lines: Sequence[Line]) -> str | None:
    if result not in {"timer", "child"}:
        return f"its result is {result!r}"
    begun = _begun(lines)
    wanted = {f"won {result}", f"still {result}"}
    return None if begun == wanted else f"{result} won, and it went on as {sorted(begun)}"


def _order(payload: Payload, result: Any, lines: Sequence[Line]) -> str | None:
    names = {"wait0", "wait1", "wait2", "child0", "child1"}
    if not isinstance(result, list) or len(result) != 5 or set(result) != names:
        return f"its result is {result!r}"
    wanted = {f"place {place} {name}" for place, name in enumerate(result)}
    begun = _begun(lines)
    return None if begun == wanted else f"it met {result}, and went on as {sorted(begun)}"


def _derived(payload: Payload, result: Any, lines: Sequence[Line]) -> str | None:
    used = {line.text for line in lines if line.step == "use"}
    reused = {line.text for line in lines if line.step == "reuse"}
    if len(used) != 1 or len(reused) != 1:
        return f"its effects were given {sorted(used | reused)}"
    wanted = [*result["drawn"], result["read"]]
    if ast.literal_eval(used.pop()) != wanted:
        return f"its effect was not given {wanted}"
    again = ast.literal_eval(reused.pop())
    return None if again == [*wanted, result["again"]] else f"its last effect was given {again}"


def _starter(payload: Payload, result: Any, lines: Sequence[Line]) -> str | None:
    right = isinstance(result, list) and len(set(result)) == payload["children"]
    return None if right else f"its result is {result!r}"


JUDGES: dict[str, Judge] = {
    "chaos-steps": _equal(lambda it: _sum(it["count"])),
    "chaos-plain": _equal(lambda it: 1 + it["add"]),
    "chaos-retries": _equal(lambda it: "in the end"),
    "chaos-waits": _equal(lambda it: len(it["waits"])),
    "chaos-deep": _equal(lambda it: 1 + it["depth"]),
    "chaos-fan": _equal(_fan),
    "chaos-writes": _equal(lambda it: _sum(it["count"])),
    "chaos-first": _first,
    "chaos-order": _order,
    "chaos-tasks": _equal(lambda it: [1, *range(1, it["members"] + 1)]),
    "chaos-derived": _derived,
    "chaos-starter": _starter,
    "chaos-whole-retries": _equal(lambda it: it["tries"]),
    "chaos-once-more": _equal(lambda it: None),
    "chaos-link": _equal(lambda it: {"text": it["text"] + "+", "wait": it["wait"]}),
    "chaos-knot": _equal(lambda it: it["text"]),
}
# Those that must not complete, and what their failure says.
STATUSES = {"chaos-hopeless": "failed", "chaos-late": "failed", "chaos-sleeper": "cancelled"}
FAILURES = {
    "chaos-hopeless": "hopeless can't succeed",
    "chaos-late": "it did not end within its run timeout of 2 s",
}

# The keys of the children that each must have.
_NONE: Callable[[Payload], list[str]] = lambda payload: []  # noqa: E731
_CHILDREN: dict[str, Callable[[Payload], list[str]]] = {
    "chaos-deep": lambda it: ["child"] if it["depth"] else [],
    "chaos-fan": lambda it: [f"branch{n}" for n in range(it["branches"]) if n % 3 == 2],
    "chaos-first": lambda it: ["child"],
    "chaos-order": lambda it: ["child0", "child1"],
    "chaos-starter": lambda it: [f"child{n}" for n in range(it["children"])],
    "chaos-whole-retries": lambda it: ["child"] if it["child"] else [],
}


def children(workflow_id: str, payload: Payload) -> list[str] | None:
    """The keys of its children; None where a cancellation may have come before."""
    if workflow_id == "chaos-sleeper":
        return None
    return _CHILDREN.get(workflow_id, _NONE)(payload)


# How often a step fails before it succeeds, or for good.
def planned_failures(workflow_id: str, step: str, payload: Payload) -> int:
    """How many failures of a step are no repeats."""
    if (workflow_id, step) == ("chaos-retries", "unsure"):
        return int(payload["failures"])
    return 2 if (workflow_id, step) == ("chaos-hopeless", "hopeless") else 0
