"""The test of the test: each invariant fails where a bug is planted, and only the one that should.

Most are planted into a real worker. Two are races that come once in hours; there the store is
driven straight into the race, and what it then holds is judged.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import chain
from sqlalchemy import Engine, text

from polos import PolosClient
from polos.model.records import ExecutionId, Hint
from tests.chaos import flows, plants
from tests.chaos.evidence import collect
from tests.chaos.fleet import FLOWS, Fleet, processes_of
from tests.chaos.invariants import interruptions, violations
from tests.chaos.setups import Setup, opened
from tests.chaos.stream import Started
from tests.support.processes import until

_SECONDS = 45.0


@dataclass
class Scene:
    """Executions in which a bug shows.

    Attributes:
        start: begins them, and tells what was begun.
        broken: a query whose answer is true as soon as it shows; else all must have ended.
    """

    start: Callable[[PolosClient], Started]
    broken: str = ""


def _one(workflow: Any, payload: dict[str, Any] | None) -> Callable[[PolosClient], Started]:
    def start(client: PolosClient) -> Started:
        return Started({workflow.start(client, payload).id: payload or {}})

    return start


def _unknown_hint(client: PolosClient) -> Started:
    # As it is left behind by a start that was rolled back.
    hint = Hint(ExecutionId(str(uuid4())), flows.hopeless.id)
    assert client.bound.dispatcher.dispatch([hint]) == 1
    return _one(flows.hopeless, None)(client)


def _chain(client: PolosClient) -> Started:
    link = client.bound.app.tasks[f"polos.{flows.link.id}"]
    ids = [str(uuid4()), str(uuid4())]
    payloads = [{"text": "a", "wait": 0}, {"text": "a+", "wait": 0}]
    links = [link.s(payloads[0]).set(task_id=ids[0]), link.s().set(task_id=ids[1])]
    chain(links).apply_async()
    return Started(dict(zip(ids, payloads, strict=True)), follow={ids[1]: [ids[0]]})


def _over(least: int) -> str:
    """That there are at least so many, and all have ended and were announced."""
    return (
        f"SELECT count(*) >= {least} AND sum(CASE WHEN status IN ('queued', 'running', 'waiting') "
        "OR unannounced THEN 1 ELSE 0 END) = 0 FROM polos_executions"
    )


DEEP = {"depth": 1, "seconds": 0.0, "wait": 0.7}
SCENES = {
    "wake_is_lost": Scene(
        _one(flows.deep, DEEP),
        # Waits for nothing that could still come.
        "SELECT count(*) FROM polos_executions e WHERE status = 'waiting' AND wake_at IS NULL "
        "AND NOT EXISTS (SELECT 1 FROM polos_waits w WHERE w.execution_id = e.id)",
    ),
    "steps_are_forgotten": Scene(_one(flows.plain, {"add": 1, "seconds": 0.0, "wait": 0.7})),
    "waits_are_short": Scene(_one(flows.plain, {"add": 1, "seconds": 0.0, "wait": 5.8})),
    "child_apart": Scene(_one(flows.starter, {"children": 1, "seconds": 0.0})),
    # Both must have ended: a worker that is stopped in a step breaks (a) and (b) as well.
    "hints_make_rows": Scene(_unknown_hint, _over(2)),
    "ends_are_not_announced": Scene(_chain),
    "writes_are_apart": Scene(_one(flows.writes, {"count": 2, "seconds": 0.0})),
    "waits_are_left": Scene(_one(flows.first, {"seconds": 0.0, "wait": 0.2})),
}
# The letters of the invariants that must fail.
BROKEN = {
    "wake_is_lost": {"a"},
    "steps_are_forgotten": {"b"},
    "waits_are_short": {"c"},
    "child_apart": {"d"},
    "hints_make_rows": {"d"},
    "ends_are_not_announced": {"a", "e"},
    "waits_are_left": {"f"},
    "writes_are_apart": {"g"},
}


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    with opened("embedded", tmp_path) as made:
        yield made


@pytest.mark.parametrize("plant", BROKEN)
def test_a_planted_bug_is_found(setup: Setup, plant: str) -> None:
    found = letters_of(judge(setup, SCENES[plant], plant))
    assert found == BROKEN[plant]


def test_every_plant_is_tried() -> None:
    assert set(BROKEN) == set(SCENES) == set(plants.PLANTS) - {"zombies_go_on"}
    assert set().union(*BROKEN.values()) == set("abcdefg")


def test_without_bugs_nothing_is_found(setup: Setup) -> None:
    """The same scenes, so that it is the bugs that break them."""

    def all_of_them(client: PolosClient) -> Started:
        every = Started()
        for scene in SCENES.values():
            started = scene.start(client)
            every.roots |= started.roots
            every.follow |= started.follow
        return every

    assert judge(setup, Scene(all_of_them)) == []


def judge(setup: Setup, scene: Scene, plant: str = "") -> list[str]:
    """Run a scene on a worker with a planted bug, or none; what is then broken."""
    setup.env[plants.VARIABLE] = plant or None
    fleet = Fleet(setup, f"{FLOWS},tests.chaos.plants", workers=1)
    client = setup.stack.client()
    try:
        fleet.wait_until_ready()
        started = scene.start(client)
        until(lambda: _shows(setup.direct, scene.broken or _over(1)), _SECONDS)
    finally:
        fleet.close()
        client.close()
    return violations(collect(setup.direct, setup.ledger(), started))


def _shows(engine: Engine, query: str) -> bool:
    with engine.connect() as connection:
        return bool(connection.execute(text(query)).scalar_one())


def letters_of(found: list[str]) -> set[str]:
    return {violation[0] for violation in found}


@pytest.mark.parametrize(("plant", "broken"), [("", set()), ("zombies_go_on", {"b"})])
def test_a_zombie_that_goes_on_is_found(setup: Setup, plant: str, broken: set[str]) -> None:
    """A worker is stopped in a step until another one has done its work, and then goes on."""
    setup.env[plants.VARIABLE] = plant or None
    book = setup.ledger()
    fleet = Fleet(setup, f"{FLOWS},tests.chaos.plants", workers=2)
    client = setup.stack.client()
    try:
        fleet.wait_until_ready()
        started = _one(flows.steps, {"count": 3, "seconds": 1.0})(client)
        begun = until(lambda: book.update().lines[1:], _SECONDS)[0]
        [zombie] = [it for it in fleet.running() if begun.pid in processes_of(it)]
        zombie.kill(signal.SIGSTOP, group=True)
        until(lambda: _shows(setup.direct, _over(1)), _SECONDS)
        zombie.kill(signal.SIGCONT, group=True)
        zombie.wait_for("this attempt is dropped", _SECONDS)
    finally:
        fleet.close()
        client.close()
    evidence = collect(setup.direct, book, started)
    assert interruptions(evidence)[0] >= 1
    assert letters_of(violations(evidence)) == broken
