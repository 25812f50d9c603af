"""All that is known at the end of a run: the tables, the audit and the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sqlalchemy import CheckConstraint, Engine, func, select, text

from polos.codec import decode, decode_failure
from polos.model.records import SECOND
from polos.model.workers import Owner
from polos.store.schema import checkpoints, executions, metadata, waits
from tests.chaos import audit
from tests.chaos.audit import Event
from tests.chaos.ledger import Ledger, Line, Phase
from tests.chaos.stream import Started

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease as the audit saw it.

    Attributes:
        ended: the status in which it ended; None where it has not.
        lost: whether it ended without an outcome of its own: taken away, or given back.
    """

    execution: str
    token: str
    seq: int
    at: float
    pid: int
    ended: str | None

    @property
    def lost(self) -> bool:
        return self.ended == "queued"


@dataclass
class Evidence:
    """What the invariants judge."""

    started: Started
    executions: Mapping[str, Row]
    checkpoints: Sequence[Row]
    waits: Sequence[Row]
    events: Sequence[Event]
    lines: Sequence[Line]
    refused: Sequence[str] = field(default=())
    writings: Sequence[tuple[str, str]] = field(default=())

    @cached_property
    def lines_of(self) -> Mapping[str, list[Line]]:
        """The ledger of each execution."""
        found: dict[str, list[Line]] = defaultdict(list)
        for line in self.lines:
            found[line.execution].append(line)
        return found

    @cached_property
    def claims(self) -> Mapping[str, Claim]:
        """The leases, by their tokens."""
        ends = {event.token: event.what for event in self.events if event.what not in _NO_END}
        return {
            event.token: Claim(
                event.execution,
                event.token,
                event.seq,
                event.at,
                Owner.parse(event.detail).pid,
                ends.get(event.token),
            )
            for event in self.events
            if event.what == "claim" and event.token
        }

    @cached_property
    def claim_of(self) -> Mapping[str, Claim | None]:
        """The lease of each attempt: the last that its process took before it began."""
        taken: dict[tuple[str, int], list[Claim]] = defaultdict(list)
        for claim in self.claims.values():
            taken[claim.execution, claim.pid].append(claim)
        found: dict[str, Claim | None] = {}
        for line in self.lines:
            if line.phase is Phase.ATTEMPT:
                before = [it for it in taken[line.execution, line.pid] if it.at <= line.at + CLOCK]
                found[line.attempt] = max(before, key=lambda it: it.seq, default=None)
        return found

    @cached_property
    def recorded(self) -> Mapping[tuple[str, str], Event]:
        """When the checkpoint of each key was committed, and under which lease."""
        return {
            (event.execution, event.detail): event
            for event in self.events
            if event.what == "checkpoint"
        }


_NO_END = {"claim", "checkpoint"}
# Two looks at one clock, of which SQLite's is in milliseconds.
CLOCK = 0.002


_WRITINGS = text("SELECT execution, step FROM chaos_writings")


def collect(engine: Engine, ledger: Ledger, started: Started) -> Evidence:
    """Look at everything."""
    with engine.begin() as connection:
        rows = connection.execute(select(executions)).mappings().all()
        return Evidence(
            started,
            {row["id"]: _decoded(row) for row in rows},
            connection.execute(select(checkpoints)).mappings().all(),
            connection.execute(select(waits)).mappings().all(),
            audit.events(connection),
            ledger.update().lines,
            refused(connection),
            [(row.execution, row.step) for row in connection.execute(_WRITINGS)],
        )


def _decoded(row: Row) -> Row:
    made = dict(row)
    made["payload"] = decode(row["payload"], lenient=True) or {}
    made["result"] = None if row["result"] is None else decode(row["result"], lenient=True)
    made["failure"] = None if row["failure"] is None else decode_failure(row["failure"])
    made["finished"] = None if row["finished_at"] is None else row["finished_at"] / SECOND
    return made


def refused(connection: Any) -> list[str]:
    """Rows that the schema's own rules don't allow, whatever let them in."""
    found = []
    for table in metadata.sorted_tables:
        for rule in table.constraints:
            if isinstance(rule, CheckConstraint):
                query = select(func.count()).select_from(table).where(text(f"NOT ({rule.sqltext})"))
                found += _complaint(connection, query, f"{rule.name} is broken in {table.name}")
        for key in table.foreign_keys:
            parent = key.column
            orphans = (
                select(func.count())
                .select_from(table)
                .where(
                    key.parent.is_not(None), ~select(parent).where(parent == key.parent).exists()
                )
            )
            found += _complaint(connection, orphans, f"{table.name}.{key.parent.name} is orphaned")
    return found


def _complaint(connection: Any, query: Any, complaint: str) -> list[str]:
    count = connection.execute(query).scalar_one()
    return [f"{complaint} ({count} rows)"] if count else []
