"""The laws that hold for every program and in every world; each gives what breaks it.

- L0: it ends; ``World.run`` raises ``Stuck``.
- L1: what has settled never unsettles.
- L2: replay reaches a fixed point.
- L3: it comes to what the model says, and records that.
- L4: a step runs once, again only if its worker was lost meanwhile, and then with equal arguments.
- L5: no wait ends early.
- L6: nothing is left behind, and each child was started once.
- L7: what the program does later is recorded later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy import update

from polos.codec import decode
from polos.model.records import Checkpoint, Execution, Kind
from polos.model.states import Status
from polos.store.schema import executions
from tests.programs.model import Drawn, Expected
from tests.programs.syntax import Gather, InOrder, Loop, Node, Seq, Try, Wait, from_data, under
from tests.programs.world import World

_NOT_ORDERED = {Kind.UUID, Kind.NOW, Kind.RANDOM, Kind.INVOKE}


def broken(world: World, expects: Expected | None = None) -> list[str]:
    """All that breaks a law in a world whose program has ended; ends it a second time for L2."""
    faults = settled(world) + effects(world) + times(world) + left_behind(world)
    faults += in_sequence(world)
    if expects is not None:
        faults += as_expected(world, world.root, expects)
    return faults + fixed_point(world)


def settled(world: World) -> list[str]:
    """L1: a checkpoint, once seen, is there and equal in every later look; no two share a place."""
    faults = [f"L1: {text}" for text in world.ledger.unsettled]
    for id_, rows in world.ledger.seen.items():
        places = Counter((row.turn, row.position) for row in rows if row.kind not in _NOT_ORDERED)
        faults += [f"L1: {id_}: two at {place}" for place, n in places.items() if n > 1]
    return faults


def fixed_point(world: World) -> list[str]:
    """L2: ended again from its checkpoints alone it comes to the same, and nothing runs."""
    before = {
        id_: found
        for id_, found in world.ledger.executions().items()
        if found.status in {Status.COMPLETED, Status.FAILED} and not found.cancel_requested
    }
    rows, calls = dict(world.ledger.seen), len(world.ledger.calls)
    # Steps of branches that were cancelled: they may begin again, and are cancelled again.
    cut_off = {
        (call.execution_id, call.key)
        for call in world.ledger.calls
        if call.key not in world.ledger.recorded(call.execution_id)
    }
    forget(world, list(before))
    world.calm_down()
    world.history.append("— its end is forgotten —")
    world.go_on()
    after = world.ledger.executions()
    faults = [
        f"L2: {id_} was {_end(found)} and is {_end(after[id_])} after a replay"
        for id_, found in before.items()
        if _end(found) != _end(after[id_])
    ]
    for id_, now in world.ledger.seen.items():
        new = {row.step_key for row in now} - {row.step_key for row in rows.get(id_, [])}
        faults += [f"L2: a replay of {id_} recorded {sorted(new)}"] if new else []
    faults += [
        f"L2: a replay called {call.key} of {call.execution_id}"
        for call in world.ledger.calls[calls:]
        if (call.execution_id, call.key) not in cut_off
    ]
    return faults + settled(world)


def effects(world: World) -> list[str]:
    """L4: as many calls as recorded attempts; others only where a worker was lost meanwhile."""
    faults: list[str] = []
    given: dict[tuple[str, str], str] = {}
    recorded: Counter[tuple[str, str]] = Counter()
    for call in world.ledger.calls:
        step = (call.execution_id, call.key)
        recorded[step] += call.recorded
        if given.setdefault(step, call.given) != call.given:
            faults.append(f"L4: {call.key} was given {given[step]} and then {call.given}")
        row = world.ledger.recorded(call.execution_id).get(call.key)
        if row is not None and not call.recorded and not call.hop.lost:
            faults.append(f"L4: {call.key} ran in hop {call.hop.number} and was not recorded then")
    for id_, rows in world.ledger.seen.items():
        faults += [
            f"L4: {row.step_key} of {id_} has {row.attempts} attempts, and "
            f"{recorded[id_, row.step_key]} calls were recorded"
            for row in rows
            if row.kind is Kind.STEP and recorded[id_, row.step_key] != row.attempts
        ]
    return faults


def times(world: World) -> list[str]:
    """L5: between the beginning and the end of a wait lies all its time."""
    faults: list[str] = []
    for id_ in world.ledger.seen:
        lengths = _waits(_program(world, id_), "top")
        for key, row in world.ledger.recorded(id_).items():
            if row.kind is not Kind.TIMER:
                continue
            assert row.started_at is not None
            assert row.created_at is not None
            passed = row.created_at - row.started_at
            if passed < lengths[key] * 1000:
                faults.append(f"L5: {key} took {passed} µs instead of {lengths[key]} ms")
    return faults


def left_behind(world: World) -> list[str]:
    """L6: no leases and no waits of what has ended; one child for each key."""
    found = world.ledger.executions()
    faults = [f"L6: {id_} has a lease" for id_ in world.ledger.held()]
    for id_, execution in found.items():
        if execution.status.ended:
            faults += [f"L6: {id_} has ended and waits: {wait}" for wait in world.ledger.waits(id_)]
        elif (above := found.get(execution.parent_execution_id or "")) and above.cancel_requested:
            faults.append(f"L6: {id_} is {execution.status}, and its parent was cancelled")
    starts = Counter((one.parent_execution_id, one.parent_step_key) for one in found.values())
    return faults + [f"L6: {n} children of {key}" for key, n in starts.items() if n > 1]


def as_expected(world: World, execution_id: str, expects: Expected) -> list[str]:
    """L3: it, and all its children, come to what the model says and have recorded that."""
    found = world.ledger.executions()
    recorded = world.ledger.recorded(execution_id)
    faults = [f"L3: {key} should not be recorded" for key in recorded if key not in expects.marks]
    children = _children(found, execution_id)
    for key, (child, needed) in expects.children.items():
        if key in children:
            faults += as_expected(world, children[key], child)
        elif needed:
            faults.append(f"L3: there is no child {key}")
    for key, mark in expects.marks.items():
        row = recorded.get(key)
        if row is None:
            faults += [f"L3: {key} is not recorded"] if mark.needed else []
            continue
        wanted = (mark.kind, mark.attempts, mark.error or _drawn(world, execution_id, mark.value))
        if _told(row) != wanted:
            faults.append(f"L3: {key} is {_told(row)} and not {wanted}")
    return faults + _end_as_expected(world, found[execution_id], expects)


def _end_as_expected(world: World, found: Execution, expects: Expected) -> list[str]:
    if not expects.ends:
        return [] if not found.status.ended else [f"L3: {found.id} ended: {found}"]
    if expects.error is not None:
        wanted = (Status.FAILED, expects.error)
    else:
        wanted = (Status.COMPLETED, _drawn(world, found.id, expects.value))
    return [] if _end(found) == wanted else [f"L3: it came to {_end(found)} and not {wanted}"]


def _children(found: Mapping[str, Execution], parent: str) -> dict[str, str]:
    """The ids of an execution's children, by their keys."""
    return {
        one.parent_step_key or "": id_
        for id_, one in found.items()
        if one.parent_execution_id == parent
    }


def _drawn(world: World, execution_id: str, value: Any) -> Any:
    """A value of the model, with what was drawn filled in."""
    if isinstance(value, Drawn):
        for key in value.within:
            execution_id = _children(world.ledger.executions(), execution_id).get(key, "")
        row = world.ledger.recorded(execution_id).get(value.key)
        return None if row is None or row.value is None else decode(row.value)
    if isinstance(value, list):
        return [_drawn(world, execution_id, one) for one in value]
    return value


def _told(row: Checkpoint) -> tuple[Any, ...]:
    if row.failure is not None:
        return (row.kind, row.attempts, (row.failure.error_type, row.failure.reason))
    return (row.kind, row.attempts, None if row.value is None else decode(row.value))


def _end(found: Execution) -> tuple[Any, ...]:
    if found.failure is not None:
        return (found.status, (found.failure.error_type, found.failure.reason))
    return (found.status, None if found.result is None else decode(found.result))


def _waits(node: Node, path: str) -> dict[str, int]:
    """The milliseconds of each wait of a program, by its key."""
    found = {path: node.millis} if isinstance(node, Wait) else {}
    for part, where in under(node, path):
        found |= _waits(part, where)
    return found


def in_sequence(world: World) -> list[str]:
    """L7: what the program does later is recorded later."""
    faults: list[str] = []
    for id_, rows in world.ledger.seen.items():
        places = {row.step_key: (row.turn, row.position) for row in rows}
        _places(_program(world, id_), "top", places, faults)
    return faults


Places = list[tuple[int, int]]


def _places(
    node: Node, path: str, places: dict[str, tuple[int, int]], faults: list[str]
) -> tuple[Places, Places]:
    """Where a node's steps are recorded: those that end before it does, and all of them."""
    strays = isinstance(node, InOrder) or (isinstance(node, Gather) and not node.collect)
    own = [places[path]] if path in places else []
    firm, all_ = list(own), list(own)
    for part, where in under(node, path):
        ended, whole = _places(part, where, places, faults)
        if isinstance(node, Seq | Loop | Try) and firm and whole and max(firm) > min(whole):
            faults.append(f"L7: {where} was recorded at {min(whole)}, after {max(firm)}")
        # The branches of a gather that failed go on without it.
        firm += [] if strays else ended
        all_ += whole
    return firm, all_


def _program(world: World, execution_id: str) -> Node:
    payload = world.ledger.executions()[execution_id].payload
    program: Node = from_data(decode(payload)["program"])
    return program


def forget(world: World, ids: list[str]) -> None:
    """Forget ends, as if the workers had died before writing them."""
    world.store.database.run(
        update(executions)
        .where(executions.c.id.in_(ids))
        .values(status="queued", result=None, failure=None, finished_at=None)
    )


def report(world: World, program: Node, faults: list[str]) -> str:
    """All that is to be known of a run that broke a law."""
    parts = [f"{program!r}", *faults, "", *world.history, ""]
    for id_, rows in world.ledger.seen.items():
        parts.append(f"{id_}:")
        parts += [f"  {row.turn}.{row.position} {row.step_key}: {_told(row)}" for row in rows]
    return "\n".join(parts)
