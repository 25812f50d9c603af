"""Every error that Polos raises on purpose.

The tree, all of it below ``PolosError``::

    PolosError
    ├── StepExecutionError (also RuntimeError)    a step ended in an error
    ├── WorkflowFailedError (also RuntimeError)   a workflow ended in any other error
    │   └── ExecutionTimedOut                     it took longer than its run timeout
    ├── WorkflowTimeoutError (also TimeoutError)  nobody saw the end in time
    ├── ExecutionCancelledError                   the execution was cancelled
    ├── ExecutionNotFound (also LookupError)
    ├── ExecutionExists (also ValueError)         an id that is taken
    ├── IllegalTransition (also ValueError)       it is in another state than that needs
    ├── StepNotFound (also LookupError)           an execution has no step of that key
    ├── WorkflowNotFound (also LookupError)
    ├── DuplicateStepKey (also ValueError)        one key used twice in an execution
    ├── StepMismatch                              a checkpoint is of another kind than the call
    ├── InvalidPayload (also ValueError)
    ├── ConfigurationError (also ValueError)
    ├── CodecError
    │   ├── UnsupportedType (also TypeError)
    │   ├── UnknownType
    │   └── ValueTooLarge (also ValueError)
    ├── ServerError                               a Polos server can't answer
    │   ├── RequestRefused (also ValueError)      it can't do what it was asked for
    │   └── AccessDenied (also PermissionError)   the key does not allow it
    └── StoreError
        ├── StoreUnavailable
        │   └── ServerUnavailable                 the Polos server can't be reached
        ├── StoreDenied                       its user may not do that
        ├── SchemaError
        └── LeaseLost
"""

from __future__ import annotations

from collections.abc import Iterable

# So many names are listed in a message.
_SHOWN = 20


class PolosError(Exception):
    """Base of all errors of this package."""


class StepExecutionError(PolosError, RuntimeError):
    """A step has no attempts left, or its call can't be carried out.

    Args:
        reason: what went wrong, the text of the step's own exception.
        step_key: the key of the step.
        attempts: how often the step's function was called.
        error_type: qualified name of the step's own exception.
    """

    def __init__(
        self, reason: str, step_key: str = "", attempts: int = 0, error_type: str = ""
    ) -> None:
        super().__init__(reason, step_key, attempts, error_type)
        self.reason = reason
        self.step_key = step_key
        self.attempts = attempts
        self.error_type = error_type

    def __str__(self) -> str:
        if not self.step_key:
            return self.reason
        tries = f" after {self.attempts} attempts" if self.attempts > 1 else ""
        kind = f"{self.error_type}: " if self.error_type else ""
        return f"step {self.step_key!r} failed{tries}: {kind}{self.reason}"


class WorkflowFailedError(PolosError, RuntimeError):
    """A workflow failed with something else than a step's error.

    Args:
        reason: the text of the exception that ended the workflow.
        execution_id: the execution that failed.
        error_type: qualified name of that exception.
    """

    def __init__(self, reason: str, execution_id: str = "", error_type: str = "") -> None:
        super().__init__(reason, execution_id, error_type)
        self.reason = reason
        self.execution_id = execution_id
        self.error_type = error_type

    def __str__(self) -> str:
        kind = f"{self.error_type}: " if self.error_type else ""
        return f"execution {self.execution_id} failed: {kind}{self.reason}"


class ExecutionTimedOut(WorkflowFailedError):
    """An execution took longer than its run timeout, and was ended.

    ``run_timeout_seconds`` of its start says how long it may take, or the ``timeout_seconds`` of
    ``@workflow``.
    """


class WorkflowTimeoutError(PolosError, TimeoutError):
    """The end was not seen within the caller's time; the execution itself goes on.

    Args:
        execution_id: the execution that was waited for.
        timeout_seconds: how long was waited, in seconds.
    """

    def __init__(self, execution_id: str, timeout_seconds: float, detail: str = "") -> None:
        super().__init__(execution_id, timeout_seconds, detail)
        self.execution_id = execution_id
        self.timeout_seconds = timeout_seconds
        self.detail = detail

    def __str__(self) -> str:
        why = f" ({self.detail})" if self.detail else ""
        return (
            f"execution {self.execution_id} has not ended within {self.timeout_seconds:g} s{why}; "
            "it goes on, and its handle's result() can be asked again"
        )


class ExecutionCancelledError(PolosError):
    """The execution that was waited for has been cancelled."""

    def __init__(self, execution_id: str) -> None:
        super().__init__(execution_id)
        self.execution_id = execution_id

    def __str__(self) -> str:
        return f"execution {self.execution_id} was cancelled"


class ExecutionNotFound(PolosError, LookupError):
    """No execution of this project has that id."""

    def __init__(self, execution_id: str) -> None:
        super().__init__(execution_id)
        self.execution_id = execution_id

    def __str__(self) -> str:
        return (
            f"no execution {self.execution_id!r} in this project; "
            "check the id, the project_id and the database URL"
        )


class ExecutionExists(PolosError, ValueError):
    """An execution with that id is there already."""

    def __init__(self, execution_id: str) -> None:
        super().__init__(execution_id)
        self.execution_id = execution_id

    def __str__(self) -> str:
        return f"an execution {self.execution_id!r} exists already; choose another id"


class IllegalTransition(PolosError, ValueError):
    """An execution is not in a state in which that can be done.

    Args:
        execution_id: the execution.
        status: how it stands.
        change: what was asked for, such as ``retry``.
        advice: what to do instead.
    """

    def __init__(self, execution_id: str, status: str, change: str, advice: str) -> None:
        super().__init__(execution_id, status, change, advice)
        self.execution_id = execution_id
        self.status = status
        self.change = change
        self.advice = advice

    def __str__(self) -> str:
        return (
            f"execution {self.execution_id} is {self.status}; {self.change} is not possible: "
            f"{self.advice}"
        )


class StepNotFound(PolosError, LookupError):
    """An execution has no step of that key.

    Args:
        execution_id: the execution.
        step_key: the key that was asked for.
        known: the keys that it has, in their order.
    """

    def __init__(self, execution_id: str, step_key: str, known: Iterable[str] = ()) -> None:
        self.execution_id = execution_id
        self.step_key = step_key
        self.known = tuple(known)
        super().__init__(execution_id, step_key, self.known)

    def __str__(self) -> str:
        shown = ", ".join(map(repr, self.known[:_SHOWN])) or "none"
        more = len(self.known) - _SHOWN
        return (
            f"execution {self.execution_id} has no step {self.step_key!r}; its steps: {shown}"
            + (f" and {more} more" if more > 0 else "")
        )


class WorkflowNotFound(PolosError, LookupError):
    """No workflow with that id is known here or to any worker."""

    def __init__(self, workflow_id: str, known: Iterable[str] = ()) -> None:
        self.workflow_id = workflow_id
        self.known = tuple(sorted(known))
        super().__init__(workflow_id, self.known)

    def __str__(self) -> str:
        known = ", ".join(self.known) or "none"
        return (
            f"no workflow {self.workflow_id!r}; known: {known}. Import its module, "
            "or start a worker that has it"
        )


class DuplicateStepKey(PolosError, ValueError):
    """A step key was used twice in one execution."""

    def __init__(self, step_key: str) -> None:
        super().__init__(step_key)
        self.step_key = step_key

    def __str__(self) -> str:
        return (
            f"step key {self.step_key!r} is used twice in this execution; give each call a key "
            "of its own, in a loop for example with the item's number in it"
        )


class StepMismatch(PolosError):
    """The workflow asks a key for another kind of step than the one recorded."""

    def __init__(self, step_key: str, recorded: str, asked: str) -> None:
        super().__init__(step_key, recorded, asked)
        self.step_key = step_key
        self.recorded = recorded
        self.asked = asked

    def __str__(self) -> str:
        return (
            f"step {self.step_key!r} is recorded as {self.recorded!r}, the workflow now asks for "
            f"{self.asked!r}: its code was changed under a running execution. Give the new call "
            "a new key, or the changed workflow a new id"
        )


class InvalidPayload(PolosError, ValueError):
    """A payload doesn't fit the workflow's annotation."""


class ConfigurationError(PolosError, ValueError):
    """Settings that can't work; the text says which and what to set."""


class CodecError(PolosError):
    """A value can't be kept or brought back."""


class UnsupportedType(CodecError, TypeError):
    """A value of a type that can't be kept.

    Args:
        type_name: qualified name of that type.
        where: the way to it inside the value, such as ``$.items[3]``.
    """

    def __init__(self, type_name: str, where: str = "$") -> None:
        super().__init__(type_name, where)
        self.type_name = type_name
        self.where = where

    def __str__(self) -> str:
        return (
            f"a value of type {self.type_name} at {self.where} can't be kept; use None, bool, int, "
            "float, str, list, dict with str keys, tuple, set, bytes, a date or time, Decimal, "
            "UUID, Enum, a dataclass or a Pydantic model"
        )


class UnknownType(CodecError):
    """A kept value names a type that this process doesn't have."""

    def __init__(self, type_name: str) -> None:
        super().__init__(type_name)
        self.type_name = type_name

    def __str__(self) -> str:
        return (
            f"the type {self.type_name} of a kept value is not known here; import its module "
            "before the workflow runs, or name it in the workflow's annotations"
        )


class ValueTooLarge(CodecError, ValueError):
    """A value over the size that may be kept.

    Args:
        size: its encoded size in bytes.
        limit: ``polos_max_value_bytes``.
    """

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(size, limit)
        self.size = size
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"a value of {self.size:,} bytes is over the limit of {self.limit:,}; keep it "
            "elsewhere and return a reference, or raise polos_max_value_bytes"
        )


class ServerError(PolosError):
    """A Polos server has an error of its own, or answers what no Polos server would.

    Args:
        url: its address.
        status: the HTTP status of the answer.
        detail: what it said.
    """

    def __init__(self, url: str, status: int, detail: str) -> None:
        super().__init__(url, status, detail)
        self.url = url
        self.status = status
        self.detail = detail

    def __str__(self) -> str:
        return (
            f"the server {self.url} answered {self.status}: {self.detail}. Look into the server's "
            "log, and check that api_url (or POLOS_API_URL) is the address of a Polos server"
        )


class RequestRefused(ServerError, ValueError):
    """A Polos server can't do what it was asked for; the text says why."""

    def __str__(self) -> str:
        return f"the server {self.url} refused that ({self.status}): {self.detail}"


class AccessDenied(ServerError, PermissionError):
    """A Polos server wants a key, or another one, or the key may not do that."""

    def __str__(self) -> str:
        return (
            f"the server {self.url} denied access ({self.status}): {self.detail}. Check api_key "
            "(or POLOS_API_KEY) and project_id"
        )


class StoreError(PolosError):
    """Something about the database."""


class StoreUnavailable(StoreError):
    """The database can't be reached.

    Args:
        url: its URL, without the password.
        reason: what the driver said.
        uncertain: whether something had been sent, which may have taken effect all the same.
    """

    def __init__(self, url: str, reason: str, uncertain: bool = False) -> None:
        super().__init__(url, reason, uncertain)
        self.url = url
        self.reason = reason
        self.uncertain = uncertain

    def __str__(self) -> str:
        return (
            f"the database {self.url} can't be reached: {self.reason}. "
            "Check POLOS_DATABASE_URL (or polos_database_url) and that the server runs"
        )


class ServerUnavailable(StoreUnavailable):
    """The Polos server can't be reached, or something before it answers in its place.

    Args:
        url: its address.
        reason: what happened.
        uncertain: whether something had been sent, which may have taken effect all the same.
    """

    def __str__(self) -> str:
        return (
            f"the Polos server {self.url} can't be reached: {self.reason}. Check api_url (or "
            "POLOS_API_URL) and that the server runs: 'polos server start'"
        )


class StoreDenied(StoreError):
    """The database's user may not do what was asked of it.

    Args:
        url: the database's URL, without the password.
        reason: what the database said.
    """

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url = url
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"the database {self.url} does not let its user do that: {self.reason}. Grant SELECT, "
            "INSERT, UPDATE and DELETE on the tables polos_*; 'polos migrate' needs a user that "
            "may make tables, too"
        )


class SchemaError(StoreError):
    """The database has no schema of Polos, or an older one than this code needs."""

    def __init__(self, url: str, found: str | None, needed: str) -> None:
        super().__init__(url, found, needed)
        self.url = url
        self.found = found
        self.needed = needed

    def __str__(self) -> str:
        has = f"schema {self.found}" if self.found else "no schema of Polos"
        return (
            f"the database {self.url} has {has}, this code needs {self.needed}: run "
            "'polos -A proj migrate' ('polos migrate' without a Celery app of yours; in a Django "
            "project with polos.contrib.django 'manage.py migrate'), or set POLOS_AUTO_MIGRATE=1"
        )


class LeaseLost(StoreError):
    """This worker no longer owns the execution; what it wanted to write was refused."""

    def __init__(self, execution_id: str) -> None:
        super().__init__(execution_id)
        self.execution_id = execution_id

    def __str__(self) -> str:
        return f"the lease of execution {self.execution_id} is gone; another worker may have it"
