"""Looks at many executions at once."""

from __future__ import annotations

import json
from dataclasses import replace

from sqlalchemy import insert

from polos.model.pulse import Current
from polos.model.records import Kind
from polos.model.states import Status
from polos.store.database import Database
from polos.store.pulses import MOST_SHOWN, current, pulses
from polos.store.schema import waits
from tests.store.scenes import edit, put, put_checkpoint, step


def wait(database: Database, execution_id: str, key: str, started: int = 1) -> None:
    values = {"execution_id": execution_id, "step_key": key, "kind": "wait", "due_at": 7}
    database.run(insert(waits).values(**values, attempts=2, started_at=started))


def test_each_execution_is_told_with_what_has_changed_of_it(database: Database) -> None:
    put(database, Status.WAITING, "one")
    put(database, Status.COMPLETED, "two")
    put(database, Status.QUEUED, "three")
    edit(database, "three", project_id="other")
    put_checkpoint(database, "one", step("a"))
    wait(database, "one", "w")
    found = pulses(database, "default", ["one", "two", "three", "none"])
    assert set(found) == {"one", "two"}
    one = found["one"]
    assert (one.status, one.done, one.waits, one.tried) == (Status.WAITING, 1, 1, 2)
    assert not one.cancel_requested
    assert (found["two"].status, found["two"].done, found["two"].waits) == ("completed", 0, 0)


def test_whatever_changes_gives_another_token(database: Database) -> None:
    put(database, Status.RUNNING)
    tokens = [pulses(database, "default", ["one"])["one"].token]
    for change in (
        lambda: put_checkpoint(database, "one", step("a")),
        lambda: wait(database, "one", "w"),
        lambda: edit(database, "one", wakeups=1),
        lambda: edit(database, "one", claims=2),
        lambda: edit(database, "one", retried=1),
        lambda: edit(database, "one", cancel_requested_at=5),
        lambda: edit(database, "one", lease_steps=json.dumps(["b"])),
        lambda: edit(database, "one", lease_steps=json.dumps(["b", "c"])),
    ):
        change()
        tokens.append(pulses(database, "default", ["one"])["one"].token)
    assert len(set(tokens)) == len(tokens) == 9
    assert pulses(database, "default", ["one"])["one"].token == tokens[-1]


def test_what_an_execution_is_at(database: Database) -> None:
    put(database, Status.RUNNING, lease_steps=json.dumps(["a", "b"]))
    put_checkpoint(database, "one", step("a"))
    put(database, Status.WAITING, "two")
    for number in range(MOST_SHOWN + 5):
        wait(database, "two", f"w{number:02}", started=number)
    put(database, Status.QUEUED, "three")
    found = current(database, pulses(database, "default", ["one", "two", "three"]))
    assert found["one"] == (Current("b"),)
    assert found["two"][0] == Current("w00", Kind.TIMER, 7, 2)
    assert [it.step_key for it in found["two"]] == [f"w{it:02}" for it in range(MOST_SHOWN)]
    assert set(found) == {"one", "two"}


def test_a_token_is_a_text_that_a_header_can_carry(database: Database) -> None:
    put(database, Status.RUNNING, lease_steps=json.dumps(["ä\n\0"]))
    pulse = pulses(database, "default", ["one"])["one"]
    assert replace(pulse, executing=("\ud800",)).token != pulse.token
    assert pulse.token.isascii()
    assert "\n" not in pulse.token
