"""What must hold after a recovery, compared with an undisturbed run and the moment of death."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from polos.codec import decode_failure
from polos.model.records import Kind
from polos.model.states import ENDED
from tests.acceptance.ledger import Entry
from tests.boundaries.corpus import Subject
from tests.boundaries.outside import Tables

# What Celery is told to do at an execution's end: at least once, as it does it itself.
LINKED = "linked"
_KEPT = (
    "workflow_id",
    "status",
    "result",
    "parent_execution_id",
    "parent_step_key",
    "parent_waits",
    "root_execution_id",
    "cancel_descends",
    "unannounced",
    "lease_token",
    "retried",
    "forked_from",
)
# They return without suspending, so that nothing depends on their order.
_UNORDERED = {Kind.UUID, Kind.NOW, Kind.RANDOM, Kind.INVOKE}


@dataclass(frozen=True, slots=True)
class Scene:
    """The rows and the effects at one moment."""

    tables: Tables
    effects: tuple[Entry, ...]

    def runs(self) -> Counter[tuple[str, str]]:
        """How often each step's effect has begun."""
        return Counter((e.execution, e.step) for e in self.effects if e.phase == "begin")


def judge(subject: Subject, undisturbed: Scene, deaths: list[Scene], last: Scene) -> Iterator[str]:
    """What is wrong; nothing where all is as it should be."""
    yield from _differences("execution", _executions(undisturbed), _executions(last))
    expected, found = (_checkpoints(scene, subject.racing) for scene in (undisturbed, last))
    yield from _differences("checkpoint", expected, found)
    written, found = undisturbed.tables.writings, last.tables.writings
    yield from _differences("writings of", dict(written), dict(found))
    yield from _differences("wait", _waits(undisturbed), _waits(last))
    if subject.ordered:
        yield from _differences("order of", _orders(undisturbed), _orders(last))
    yield from _ambiguous(last)
    for scene in deaths:
        yield from _unsettled(subject, scene, last)
        yield from _repeated(subject, scene, last)
    yield from _effects(undisturbed, last, len(deaths))


def _differences(what: str, expected: dict[Any, Any], found: dict[Any, Any]) -> Iterator[str]:
    for key in expected.keys() | found.keys():
        if expected.get(key) != found.get(key):
            yield f"{what} {key}: {found.get(key)} instead of {expected.get(key)}"


def _executions(scene: Scene) -> dict[str, Any]:
    return {
        id_: {name: row[name] for name in _KEPT}
        | {
            "failure": _failure(row["failure"]),
            "cancelled": row["cancel_requested_at"] is not None,
        }
        for id_, row in scene.tables.executions.items()
    }


def _checkpoints(scene: Scene, but: frozenset[str]) -> dict[tuple[str, str], Any]:
    return {
        key: (
            row["kind"],
            None if row["kind"] == Kind.NOW else row["value"],
            _failure(row["failure"]),
        )
        for key, row in scene.tables.checkpoints.items()
        if row["step_key"] not in but
    }


def _waits(scene: Scene) -> dict[tuple[str, str], Any]:
    return {
        key: (row["kind"], row["target_id"], row["attempts"])
        for key, row in scene.tables.waits.items()
    }


def _orders(scene: Scene) -> dict[str, list[str]]:
    orders: dict[str, list[str]] = {}
    rows = sorted(scene.tables.checkpoints.values(), key=lambda row: (row["turn"], row["position"]))
    for row in rows:
        if row["kind"] not in _UNORDERED:
            orders.setdefault(row["execution_id"], []).append(row["step_key"])
    return orders


def _ambiguous(scene: Scene) -> Iterator[str]:
    """Two completions in one place: a replay could not tell which came first."""
    places = Counter(
        (row["execution_id"], row["turn"], row["position"])
        for row in scene.tables.checkpoints.values()
        if row["kind"] not in _UNORDERED
    )
    yield from (f"{times} checkpoints at {place}" for place, times in places.items() if times > 1)


def _unsettled(subject: Subject, death: Scene, last: Scene) -> Iterator[str]:
    """What has settled never changes again, but for what failed and is tried again."""
    if subject.pruned:
        return
    for key, row in _settled(subject, death.tables.checkpoints).items():
        if last.tables.checkpoints.get(key) != row:
            yield f"checkpoint {key} changed after the death"
    for id_, row in _settled(subject, death.tables.executions).items():
        if (
            row["status"] in ENDED
            and last.tables.executions[id_]["finished_at"] != row["finished_at"]
        ):
            yield f"execution {id_} ended again after the death"


def _settled(subject: Subject, rows: dict[Any, dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    if not subject.tries_again:
        return rows
    return {key: row for key, row in rows.items() if row["failure"] is None}


def _repeated(subject: Subject, death: Scene, last: Scene) -> Iterator[str]:
    """A step with a checkpoint never runs again."""
    done = _settled(subject, death.tables.checkpoints)
    for entry in last.effects[len(death.effects) :]:
        if (entry.execution, entry.step) in done and entry.phase == "begin":
            yield f"step {entry.step!r} ran again although its checkpoint was there"


def _effects(undisturbed: Scene, last: Scene, deaths: int) -> Iterator[str]:
    expected, found = undisturbed.runs(), last.runs()
    for key in expected.keys() | found.keys():
        most = math.inf if key[1] == LINKED else expected[key] + deaths
        if not expected[key] <= found[key] <= most:
            yield f"effect {key} ran {found[key]} times instead of {expected[key]}"
    texts: dict[tuple[str, str], set[str]] = {}
    for entry in last.effects:
        texts.setdefault((entry.execution, entry.step), set()).add(entry.text)
    yield from (f"effect {key} saw {seen}" for key, seen in texts.items() if len(seen) > 1)


def _failure(data: bytes | None) -> Any:
    if data is None:
        return None
    failure = decode_failure(data)
    return failure.reason, failure.error_type, failure.step_key
