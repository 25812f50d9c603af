"""Executions of every kind, written into the store as they would stand there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select

from polos.codec import encode, encode_failure, encode_history
from polos.model.records import ExecutionId, Failure, Kind, Micros, NewExecution, Tried
from polos.model.states import Status
from polos.store.clock import now_micros
from polos.store.rows import new_values
from polos.store.schema import checkpoints, executions, tags, waits
from polos.store.sql_store import SqlStore

MS, SECOND, MINUTE, DAY = 1_000, 1_000_000, 60_000_000, 86_400_000_000
_NOT_COLUMNS = ("delay", "until_deadline", "start_within")
_AT_ONCE = 500


class Written:
    """An execution that is written step by step.

    Args:
        store: where.
        execution_id: its id.
        ago: how long ago it was created, in microseconds.
        columns: what else its row holds.
    """

    def __init__(
        self, store: SqlStore, execution_id: str, ago: int = MINUTE, **columns: Any
    ) -> None:
        self.store = store
        self.id = execution_id
        self.now = int(store.database.run(select(now_micros()))[0][0])
        self.begin = self.now - ago
        self.columns: dict[str, Any] = {"workflow_id": "order_processor"} | columns
        self.steps: list[dict[str, Any]] = []
        self.waits: list[dict[str, Any]] = []
        self.tags: Sequence[str] = ()

    def step(
        self,
        key: str,
        begin: int | None,
        end: int,
        value: Any = None,
        *,
        kind: Kind = Kind.STEP,
        failure: Failure | None = None,
        tried: Sequence[Tried] = (),
        turn: int = 0,
        given: Any = None,
        **columns: Any,
    ) -> Written:
        """A step that ended; its times count from the execution's beginning."""
        self.steps.append(
            {
                "execution_id": self.id,
                "step_key": key,
                "kind": kind.value,
                "turn": turn,
                "position": len(self.steps) + 1,
                "value": None if failure else encode(value),
                "failure": encode_failure(failure) if failure else None,
                "attempts": len(tried) + 1,
                "started_at": None if begin is None else self.begin + begin,
                "created_at": self.begin + end,
                "history": encode_history(tried),
                "input": None if given is None else json.dumps(given).encode(),
            }
            | columns
        )
        return self

    def wait(
        self, key: str, begin: int, due: int | None, *, kind: Kind = Kind.TIMER, **columns: Any
    ) -> Written:
        """Something that it waits for."""
        self.waits.append(
            {
                "execution_id": self.id,
                "step_key": key,
                "kind": kind.value,
                "due_at": None if due is None else self.begin + due,
                "target_id": None,
                "attempts": 0,
                "failure": None,
                "started_at": self.begin + begin,
                "history": None,
                "input": None,
            }
            | columns
        )
        return self

    def tried(self, at: int, again: int | None, reason: str = "503 from the bank") -> Tried:
        """An attempt that failed."""
        due = None if again is None else Micros(self.begin + again)
        return Tried(Micros(self.begin + at), "shop.errors.GatewayError", reason, due)

    def put(self, status: Status, end: int | None = None, payload: Any = None) -> str:
        """Write it all; its id."""
        new = NewExecution(
            ExecutionId(self.id),
            "",
            self.store.project_id,
            encode({"order": 1} if payload is None else payload),
        )
        row = {k: v for k, v in new_values(new).items() if k not in _NOT_COLUMNS}
        row |= {"created_at": self.begin, "status": status.value, "claims": 1}
        row["started_at"] = None if status is Status.QUEUED else self.begin + 20 * MS
        if status is Status.QUEUED:
            row["claims"] = 0
        if status.ended:
            row["finished_at"] = self.begin + (end or SECOND)
        if status is Status.COMPLETED:
            row["result"] = encode({"paid": True})
        if status is Status.FAILED:
            row["failure"] = encode_failure(FAILURE)
        if status is Status.RUNNING:
            row |= {"lease_token": "t", "lease_owner": "a/b/1/1", "lease_worker": "worker@alpha"}
            row["lease_expires_at"] = self.now + DAY
        with self.store.database.engine.begin() as connection:
            connection.execute(insert(executions), [row | self.columns])
            if self.tags:
                fixed = {"execution_id": self.id, "project_id": row["project_id"]}
                fixed |= {"created_at": self.begin}
                connection.execute(insert(tags), [fixed | {"tag": tag} for tag in self.tags])
        self.put_steps()
        return self.id

    def put_steps(self) -> None:
        """Write the steps and waits only, of an execution that is there."""
        with self.store.database.engine.begin() as connection:
            for table, rows in ((checkpoints, self.steps), (waits, self.waits)):
                for first in range(0, len(rows), _AT_ONCE):
                    connection.execute(insert(table), rows[first : first + _AT_ONCE])


TRACEBACK = """Traceback (most recent call last):
  File "shop/flows.py", line 41, in charge
    return gateway.charge(order.card, order.amount)
  File "shop/gateway.py", line 12, in charge
    raise CardDeclined("card declined: insufficient funds")
shop.errors.CardDeclined: card declined: insufficient funds
"""
FAILURE = Failure(
    "card declined: insufficient funds", "shop.errors.CardDeclined", "charge_card", 3, TRACEBACK
)


def retries(store: SqlStore, id_: str = "11111111-retries") -> str:
    """A step that worked at its third attempt."""
    it = Written(store, id_, 20 * SECOND, session_id="session-7", user_id="ann", queue="orders")
    it.tags = ("urgent", "eu")
    it.step("validate", 20 * MS, 140 * MS, {"valid": True, "lines": 3}, given=[{"id": "a1"}])
    it.step("order_id", None, 150 * MS, "0b6e…", kind=Kind.UUID)
    tried = [it.tried(1200 * MS, 2200 * MS), it.tried(3 * SECOND, 5 * SECOND)]
    it.step("charge_card", 160 * MS, 5600 * MS, {"charge": "ch_1", "amount": 1999}, tried=tried)
    it.step("cooldown", 5610 * MS, 8610 * MS, None, kind=Kind.TIMER, turn=1)
    it.step("send_receipt", 8620 * MS, 9100 * MS, "queued", turn=1)
    return it.put(Status.COMPLETED, 9200 * MS)


def failed(store: SqlStore, id_: str = "22222222-failed") -> str:
    """A step that failed for good."""
    it = Written(store, id_, 3600 * SECOND, user_id="ann")
    it.step("validate", 20 * MS, 140 * MS, {"valid": True})
    it.step("reserve", 150 * MS, 700 * MS, {"reserved": [{"sku": "x", "n": n} for n in range(4)]})
    tried = [it.tried(1200 * MS, 2200 * MS, "timeout"), it.tried(3 * SECOND, 5 * SECOND)]
    it.step("charge_card", 710 * MS, 5600 * MS, failure=FAILURE, tried=tried)
    it.step("release", 5610 * MS, 5900 * MS, None)
    return it.put(Status.FAILED, 5950 * MS)


def waiting(store: SqlStore, id_: str = "33333333-waiting") -> str:
    """Steps of milliseconds, and a wait of thirty days."""
    it = Written(store, id_, 12 * DAY, workflow_id="trial_period", wake_at=1)
    it.columns["wake_at"] = it.begin + 30 * DAY
    it.step("create_account", 20 * MS, 45 * MS, {"account": 17})
    it.step("welcome_mail", 50 * MS, 61 * MS, "sent")
    it.step("first_week", 70 * MS, 7 * DAY, None, kind=Kind.TIMER, turn=1)
    it.step("tips_mail", 7 * DAY + 20 * MS, 7 * DAY + 38 * MS, "sent", turn=1)
    it.wait("end_of_trial", 7 * DAY + 40 * MS, 30 * DAY)
    return it.put(Status.WAITING)


def children(store: SqlStore, id_: str = "44444444-parent") -> str:
    """Children in every state, one of them in turn a parent; its own parent and siblings."""
    Written(store, "40000000-root", 50 * SECOND, workflow_id="nightly").step(
        "shop", 100 * MS, 110 * MS, id_, kind=Kind.INVOKE
    ).put(Status.COMPLETED, 45 * SECOND)
    above = {"root_execution_id": "40000000-root", "root_workflow_id": "nightly"}
    for number, status in enumerate((Status.COMPLETED, Status.FAILED)):
        Written(
            store,
            f"4000000{number + 1}-sibling",
            50 * SECOND,
            workflow_id="stock",
            parent_execution_id="40000000-root",
            parent_step_key=f"stock{number}",
            **above,
        ).put(status, 9 * SECOND)
    it = Written(
        store,
        id_,
        49 * SECOND,
        workflow_id="shop_batch",
        parent_execution_id="40000000-root",
        parent_step_key="shop",
        **above,
    )
    it.step("plan", 30 * MS, 2 * SECOND, {"orders": 5})
    for number, status in enumerate(
        (Status.COMPLETED, Status.FAILED, Status.RUNNING, Status.WAITING, Status.QUEUED)
    ):
        kid = Written(
            store,
            f"4444444{number}-kid",
            (46 - number) * SECOND,
            parent_execution_id=it.id,
            parent_step_key=f"order_{number}",
            parent_waits=True,
            **above,
        )
        kid.put(status, 8 * SECOND)
        it.wait(f"order_{number}", (3 + number) * SECOND, None, kind=Kind.CHILD, target_id=kid.id)
    it.wait("bank_import", 4 * SECOND, 90 * SECOND, kind=Kind.TASK, target_id="celery-task-9")
    it.wait(
        "report",
        5 * SECOND,
        55 * SECOND,
        kind=Kind.STEP,
        attempts=2,
        started_at=it.begin + 5 * SECOND,
        history=encode_history(
            [it.tried(9 * SECOND, 12 * SECOND), it.tried(14 * SECOND, 55 * SECOND)]
        ),
        failure=encode_failure(FAILURE),
    )
    return it.put(Status.WAITING)


def running(store: SqlStore, id_: str = "55555555-running") -> str:
    """At work in its fourth step."""
    it = Written(store, id_, 9 * SECOND, workflow_id="report")
    it.step(
        "fetch", 30 * MS, 2 * SECOND, {"rows": 120_000}, given={"url": "https://example.org/data"}
    )
    it.step("clean", 2010 * MS, 3500 * MS, {"rows": 119_204})
    it.step("upload", 3510 * MS, 5 * SECOND, "s3://bucket/part-1")
    return it.put(Status.RUNNING)


def many(store: SqlStore, id_: str = "66666666-many", count: int = 5000) -> str:
    """So many steps, in bursts; some failed."""
    it = Written(store, id_, 2 * 3600 * SECOND, workflow_id="import_rows")
    at = 30 * MS
    for number in range(count):
        at += 20 * MS + (5 * MINUTE if number % 1250 == 1249 else 0) + (number * 7919 % 400) * MS
        bad = FAILURE if number % 977 == 500 else None
        it.step(f"row_{number:05}", at - 15 * MS, at, {"row": number, "ok": True}, failure=bad)
    return it.put(Status.COMPLETED, at + 50 * MS)


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }} {% raw x %}",
    "\u202egnp.exe\u202c \u2066x\u2069 \u200f",
    "\x00\x1b[31m\x07\r\n\x7f\x85",
    "\ud800 lone",
    "]]></svg><svg onload=alert(1)>",
    "a" * 10_000,
)


def hostile(store: SqlStore, id_: str = "77777777-hostile") -> str:
    """Texts that want to run, hide or turn what is around them."""
    bad = [text for text in HOSTILE[:4] + HOSTILE[6:7]]
    it = Written(store, id_, workflow_id="evil", session_id=bad[0], user_id=bad[1], queue=bad[2])
    it.tags = bad[:4]
    for number, text in enumerate(HOSTILE):
        it.step(f"value_{number}", 0, SECOND * number, {text: [text]}, given=[text])
        failure = Failure(text, text, text, 1, text)
        it.step(f"error_{number}", 0, SECOND * number, failure=failure)
    for text in bad:
        it.step(text, 0, SECOND, text)
    return it.put(Status.FAILED, 20 * SECOND, payload=dict.fromkeys(HOSTILE, list(HOSTILE)))


EVERY = (retries, failed, waiting, children, running, many, hostile)
