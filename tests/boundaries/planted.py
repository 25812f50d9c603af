"""Defects that are planted to see the campaigns find them; each is such as was made before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from polos.codec import encode
from polos.engine.attempt import value_of
from polos.engine.effects import AttemptEffects
from polos.engine.journal import Journal
from polos.model.outcome import Completed, Outcome
from polos.model.records import Checkpoint, Execution, Hint, Kind
from polos.store.sql_store import SqlStore
from polos.store.waking import lock, tell_parent


def now_is_saved_later() -> None:
    """``now`` returns before its value is committed."""

    def record(self: AttemptEffects, key: str, kind: Kind, make: Callable[[], Any]) -> Any:
        found = self._branches.ask(key, kind)
        if found is not None:
            return value_of(found)
        value = make()
        self._journal.defer(key, kind, encode(value))
        return value

    AttemptEffects.record = record


def waits_that_are_over_stay() -> None:
    """A wait whose checkpoint is there is not deleted at the end."""
    made = Journal.__init__

    def init(self: Journal, store: SqlStore, claimed: Any, *others: Any) -> None:
        made(self, store, claimed, *others)
        self.has_waits = bool(claimed.waits)

    Journal.__init__ = init


def parents_are_told_later() -> None:
    """A child's end and its parent's wake are two transactions."""
    commit = SqlStore.commit

    def committed(
        self: SqlStore, execution: Execution, token: str, outcome: Outcome, **named: Any
    ) -> tuple[Hint, ...] | None:
        hints = commit(self, replace(execution, parent_waits=False), token, outcome, **named)
        if hints is None or not execution.parent_waits or not isinstance(outcome, Completed):
            return hints
        ending = Checkpoint("", Kind.CHILD, value=outcome.result)

        def tell(connection: Any) -> tuple[Hint, ...]:
            parent = lock(connection, execution.parent_execution_id or "")
            return tell_parent(connection, parent, execution, ending)

        return hints + self.database.transaction(tell)

    SqlStore.commit = committed
