from __future__ import annotations

import threading
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from polos.definition.options import WorkflowOptions
from polos.definition.registry import Registry, registry
from polos.definition.workflow import Workflow
from polos.errors import WorkflowNotFound

from .fakes import FakeClient


async def first(ctx: Any) -> None: ...
async def second(ctx: Any) -> None: ...


def made(function: Any, id: str = "one") -> Workflow[Any, Any]:
    return Workflow(function, WorkflowOptions(id=id), {})


def moved(function: Any, module: str, file: str) -> Any:
    """The same function as another import of its file gives it."""
    code = function.__code__.replace(co_filename=file)
    copy = FunctionType(code, function.__globals__, function.__name__)
    copy.__module__, copy.__qualname__ = module, function.__qualname__
    return copy


def test_get_require_and_all() -> None:
    known = Registry()
    one, two = made(first, "b"), made(second, "a")
    known.add(one)
    known.add(two)
    assert known.get("b") is one
    assert known.get("c") is None
    assert known.require("a") is two
    assert known.all() == (one, two)
    with pytest.raises(WorkflowNotFound, match="no workflow 'c'; known: a, b"):
        known.require("c")


def test_two_functions_can_not_have_one_id() -> None:
    known = Registry()
    one = made(first)
    known.add(one)
    with pytest.raises(ValueError, match="'one'.*test_registry.first.*test_registry.second"):
        known.add(made(second))
    assert known.all() == (one,)


def test_the_same_function_again_replaces() -> None:
    known = Registry()
    known.add(made(first))
    again = made(first)
    known.add(again)
    assert known.all() == (again,)


def test_a_file_that_is_run_and_imported_is_one() -> None:
    known = Registry()
    known.add(made(first))
    known.add(made(moved(first, "__main__", __file__)))
    assert known.require("one").function.__module__ == "__main__"


def test_another_file_is_another_function(tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.touch()
    known = Registry()
    known.add(made(first))
    with pytest.raises(ValueError, match="two workflows"):
        known.add(made(moved(first, "other", str(other))))


def test_no_file_is_no_proof() -> None:
    known = Registry()
    known.add(made(moved(first, "one", "<string>")))
    with pytest.raises(ValueError, match="two workflows"):
        known.add(made(moved(first, "two", "<string>")))


def test_subscribers_see_each_workflow_once() -> None:
    known, seen = Registry(), []
    one, two, three = made(first, "a"), made(first, "b"), made(first, "c")
    known.add(one)
    stop = known.subscribe(seen.append)
    known.add(two)
    stop()
    stop()
    known.add(three)
    assert seen == [one, two]


def test_a_subscriber_may_use_the_registry() -> None:
    known, seen = Registry(), []
    known.add(made(first))
    known.subscribe(lambda workflow: seen.append(known.all()))
    assert len(seen) == 1


def test_threads_lose_nothing() -> None:
    known, seen = Registry(), []

    def add(start: int) -> None:
        for number in range(start, start + 100):
            known.add(made(first, f"w{number}"))

    threads = [threading.Thread(target=add, args=(100 * part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    known.subscribe(seen.append)
    for thread in threads:
        thread.join()
    assert len(known.all()) == 400
    assert sorted(wf.id for wf in seen) == sorted(wf.id for wf in known.all())


def test_scoped_forgets() -> None:
    known = Registry()
    known.add(made(first, "a"))
    with known.scoped() as same:
        same.add(made(second, "b"))
    assert [wf.id for wf in known.all()] == ["a"]


def test_the_default_client() -> None:
    client = FakeClient()
    assert Registry().default_client() is None
    registry.set_default_client(client)
    assert registry.default_client() is client
