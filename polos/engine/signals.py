"""What ends an attempt from inside: no ``Exception``, so that user code can't swallow it."""

from __future__ import annotations

import asyncio


class AttemptEnded(asyncio.CancelledError):
    """Raised by steps that are called while a parked attempt is being left."""


class ParkSignal(BaseException):
    """Leaves the body of a plain ``def`` workflow that has to wait."""


class WorkerStopping(BaseException):
    """The worker ends and has no more time for this attempt; another worker goes on with it."""


class AttemptAborted(BaseException):
    """The attempt must stop without an outcome; ``cause`` says why."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


def is_own_exit(error: BaseException) -> bool:
    """Whether a step called ``sys.exit``, and not the worker that runs it.

    Celery's own exits are subclasses; billiard's signal handler in a pool process exits with
    ``-(256 - signal)``.
    """
    if type(error) is not SystemExit:
        return False
    return not (isinstance(error.code, int) and -256 < error.code < -190)
