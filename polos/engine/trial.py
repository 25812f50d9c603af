"""One try of a step that is under way."""

from __future__ import annotations

from typing import NamedTuple

from polos.model.records import Checkpoint, Failure, Kind, Micros


class Trial(NamedTuple):
    """What its checkpoint says of a try, whatever the try comes to.

    A tuple: a frozen record costs a step several times as much.
    """

    key: str
    kind: Kind
    attempts: int
    started_at: Micros
    history: bytes | None
    input: bytes | None

    def row(self, *, value: bytes | None = None, failure: Failure | None = None) -> Checkpoint:
        """The checkpoint."""
        return Checkpoint(
            self.key,
            self.kind,
            value=value,
            failure=failure,
            attempts=self.attempts,
            started_at=self.started_at,
            history=self.history,
            input=self.input,
        )
