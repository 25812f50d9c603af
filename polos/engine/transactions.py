"""Transaction steps: a function whose writes are committed together with the step's checkpoint."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

from polos.codec import encode
from polos.engine.interrupting import call_user
from polos.engine.journal import Journal
from polos.engine.trial import Trial
from polos.errors import CodecError, StepExecutionError
from polos.model.records import Checkpoint, StepRequest
from polos.store.transacting import FunctionRaised, TransactionEnded


class Final(Exception):
    """A failure after which a step is not tried again.

    Attributes:
        cause: what the step failed with.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__(cause)
        self.cause = cause


def transacted(journal: Journal, request: StepRequest, this: Trial, limit: int) -> Checkpoint:
    """Call a step's function in a transaction; its checkpoint, committed with what it wrote.

    Args:
        journal: commits it.
        request: the step.
        this: what the checkpoint says, whatever the function gives.
        limit: the most bytes that the value may take.

    Raises:
        Final: it can't be tried again.
        Exception: what the function raised; nothing was written.
        LeaseLost: nothing was written.
    """

    def make(connection: Any) -> Checkpoint:
        value = call_user(partial(request.func, connection, *request.args, **request.kwargs))
        _check_plain(request.key, value)
        try:
            data = encode(value, limit)
        except CodecError as error:
            raise Final(error) from error
        return this.row(value=data)

    try:
        return journal.transact(request.key, make)
    except FunctionRaised as raised:
        raise raised.error from raised.error.__cause__
    except TransactionEnded as error:
        raise Final(StepExecutionError(str(error), request.key)) from error


def _check_plain(key: str, value: Any) -> None:
    if not inspect.isawaitable(value):
        return
    if inspect.iscoroutine(value):
        value.close()  # else Python warns that nobody awaited it
    raise Final(
        TypeError(
            f"the function of the transaction step {key!r} returned a {type(value).__name__}; it "
            "must be a plain function, which has done its work when it returns"
        )
    )
