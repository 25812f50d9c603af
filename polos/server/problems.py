"""What is answered where a request can't be done: problem details (RFC 9457), from one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import responses
from typing import Any

from polos import errors
from polos.client.problems import problem_members
from polos.definition.payload import faults_of
from polos.server.access import Refused

PROBLEM_TYPE = "application/problem+json"
# Seconds after which what is away may be asked again.
RETRY_AFTER = 5

# The nearest class of an error's own decides.
STATUSES: Mapping[type[errors.PolosError], int] = {
    errors.ExecutionNotFound: 404,
    errors.StepNotFound: 404,
    errors.WorkflowNotFound: 404,
    errors.ExecutionExists: 409,
    errors.IllegalTransition: 409,
    errors.ExecutionCancelledError: 409,
    errors.LeaseLost: 409,
    errors.StepExecutionError: 409,
    errors.StepMismatch: 409,
    errors.WorkflowFailedError: 409,
    errors.ValueTooLarge: 413,
    errors.CodecError: 422,
    errors.ConfigurationError: 422,
    errors.DuplicateStepKey: 422,
    errors.InvalidPayload: 422,
    errors.StoreError: 503,
    errors.WorkflowTimeoutError: 504,
    errors.PolosError: 500,
}


class RequestError(Exception):
    """A request that is wrong in itself.

    Args:
        status: the HTTP status.
        text: what is wrong, and what to do.
        code: a short name of it, for programs.
        headers: of the answer.
        faults: what is wrong at which place of the body or the query.
    """

    def __init__(
        self,
        status: int,
        text: str,
        code: str,
        headers: Mapping[str, str] | None = None,
        faults: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.headers = headers or {}
        self.faults = faults


def unanswered() -> RequestError:
    """The error of a database that gives no answer."""
    headers = {"Retry-After": str(RETRY_AFTER)}
    return RequestError(503, "the database does not answer; try again", "DatabaseSilent", headers)


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that says what is wrong.

    Attributes:
        members: beside the title, the status and the detail.
    """

    status: int
    detail: str
    members: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The body."""
        return {
            "type": "about:blank",
            "title": title_of(self.status),
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }


def title_of(status: int) -> str:
    """How HTTP calls a status."""
    return responses.get(status, "Unknown")


def status_of(kind: type[errors.PolosError]) -> int:
    """The HTTP status of an error's class."""
    return next(STATUSES[it] for it in kind.__mro__ if it in STATUSES)


def problem_of(error: BaseException) -> Problem:
    """What is said of an error."""
    match error:
        case errors.PolosError():
            return _of_polos(error)
        case Refused():
            challenge = {"WWW-Authenticate": error.challenge} if error.challenge else {}
            code = "Unauthorized" if error.status == 401 else "Forbidden"
            return Problem(error.status, str(error), {"code": code}, challenge)
        case RequestError():
            members = {"code": error.code, **_errors(error.faults)}
            return Problem(error.status, str(error), members, error.headers)
    return Problem(500, "the server has an error of its own; its log says which", _INTERNAL)


_INTERNAL = {"code": "InternalError"}


def _of_polos(error: errors.PolosError) -> Problem:
    status = status_of(type(error))
    told = _without_address(error)
    headers = {"Retry-After": str(RETRY_AFTER)} if status == 503 else {}
    faults = faults_of(error) if isinstance(error, errors.InvalidPayload) else []
    below = [{**fault, "loc": ["payload", *fault["loc"]]} for fault in faults]
    return Problem(status, str(told), problem_members(told) | _errors(below), headers)


def _errors(faults: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"errors": list(faults)} if faults else {}


def _without_address(error: errors.PolosError) -> errors.PolosError:
    """The error without what only this host is to know: where its database is."""
    match error:
        case errors.StoreUnavailable():
            return errors.StoreUnavailable("of the server", "see the server's log", error.uncertain)
        case errors.StoreDenied():
            return errors.StoreDenied("of the server", "see the server's log")
        case errors.SchemaError():
            return errors.SchemaError("of the server", error.found, error.needed)
    return error
