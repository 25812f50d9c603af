"""What of a canvas tells of its end, and what can't be a step."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from kombu.utils.json import dumps, loads

from polos.binding.task_canvas import needs_backend, prepared, split

# Celery freezes chords only where there is a backend.
app = Celery("canvas", set_as_current=False, backend="cache+memory://")
DONE = app.signature("done")
FAILED = app.signature("failed")


def task(name: str) -> Any:
    return app.signature(name, (name,))


def plain(signature: Any) -> Any:
    return loads(dumps(signature))


def told(signature: Any) -> dict[str, list[str]]:
    """The callbacks and errbacks of each task in it."""
    found: dict[str, list[str]] = {}

    def look(it: Any) -> None:
        nested = it["kwargs"].get("tasks") or it["kwargs"].get("header")
        if isinstance(nested, dict):
            nested = nested["kwargs"]["tasks"]
        if nested is None:
            linked = [*it["options"].get("link", []), *it["options"].get("link_error", [])]
            found[it["task"]] = [link["task"] for link in linked]
            return
        for part in [*nested, *([it["kwargs"]["body"]] if "body" in it["kwargs"] else [])]:
            look(part)

    look(plain(signature))
    return found


CANVAS: dict[str, tuple[Any, dict[str, list[str]]]] = {
    "task": (task("a"), {"a": ["done", "failed"]}),
    "chain": (
        chain(task("a"), task("b"), task("c")),
        {"a": ["failed"], "b": ["failed"], "c": ["done", "failed"]},
    ),
    "chord": (
        chord([task("a"), task("b")], task("c")),
        {"a": ["failed"], "b": ["failed"], "c": ["done", "failed"]},
    ),
    "chain to chord": (
        chain(task("a"), chord([task("b"), chain(task("c"), task("d"))], task("e"))),
        {"a": ["failed"], "b": ["failed"], "c": ["failed"], "d": ["failed"]}
        | {"e": ["done", "failed"]},
    ),
    "group in a chain": (
        chain(task("a"), group(task("b"), task("c")), task("d")),
        {"a": ["failed"], "b": ["failed"], "c": ["failed"], "d": ["done", "failed"]},
    ),
}


@pytest.mark.parametrize("name", CANVAS)
def test_all_tell_of_errors_and_the_last_of_its_value(name: str) -> None:
    signature, expected = CANVAS[name]
    before = deepcopy(plain(signature))
    assert split("key", signature) is None
    assert told(prepared(signature, app, DONE, FAILED)) == expected
    assert plain(signature) == before


@pytest.mark.parametrize("name", CANVAS)
def test_a_signature_that_was_sent_or_stored_before_will_do(name: str) -> None:
    signature, expected = CANVAS[name]
    copy = app.signature(deepcopy(plain(signature)))
    copy.freeze()
    again = prepared(copy, app, DONE, FAILED)
    assert told(again) == expected
    assert "task_id" not in again.options


def test_their_own_callbacks_stay() -> None:
    signature = task("a").on_error(task("theirs"))
    signature.link(task("also theirs"))
    found = told(prepared(signature, app, DONE, FAILED))
    assert found == {"a": ["also theirs", "done", "theirs", "failed"]}


def test_groups_are_split_into_what_they_hold() -> None:
    parts = split("key", group(task("a"), group(task("b"), chain(task("c"), task("d")))))
    assert parts is not None
    assert [part.task for part in parts] == ["a", "b", "celery.chain"]
    assert split("key", group()) == []


def test_chunks_are_a_group() -> None:
    @app.task(name="canvas.add", shared=False)
    def add(x: int, y: int) -> int:
        return x + y

    parts = split("key", add.chunks(zip(range(6), range(6), strict=True), 2))
    assert parts is not None
    assert len(parts) == 3


@app.task(name="canvas.itself", shared=False)
def itself() -> None: ...


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, "a value of type NoneType"),
        ("canvas.itself", "a value of type str"),
        (itself, "the task 'canvas.itself' itself"),
        ({"task": "a"}, "a value of type dict"),
        (chain(task("a"), group(task("b"), task("c"))), "a chain that ends in a group"),
        (chord([task("a")], group(task("b"), task("c"))), "a chord that ends in a group"),
        (group(task("a"), chain(task("b"), group(task("c"), task("d")))), "ends in a group"),
    ],
)
def test_what_can_not_be_a_step(given: Any, text: str) -> None:
    with pytest.raises(TypeError, match=f"^step 'pay'.*{text}"):
        split("pay", given)


def test_what_celery_needs_a_backend_for() -> None:
    assert {name: needs_backend(signature) for name, (signature, _) in CANVAS.items()} == {
        "task": False,
        "chain": False,
        "chord": True,
        "chain to chord": True,
        "group in a chain": True,
    }
