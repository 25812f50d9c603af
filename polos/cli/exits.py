"""What a command ends with: its exit code, and one line that says what was wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import click

from polos.errors import (
    ConfigurationError,
    ExecutionNotFound,
    InvalidPayload,
    PolosError,
    SchemaError,
    StepNotFound,
    StoreDenied,
    StoreUnavailable,
    WorkflowNotFound,
    WorkflowTimeoutError,
)
from polos.model.inert import inert


class Code(IntEnum):
    """The exit codes, as ``docs/cli.md`` has them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    TIMEOUT = 4
    UNREACHABLE = 5
    INTERRUPTED = 130


_CODES: tuple[tuple[type[Exception], Code], ...] = (
    (ExecutionNotFound, Code.NOT_FOUND),
    (StepNotFound, Code.NOT_FOUND),
    (WorkflowNotFound, Code.NOT_FOUND),
    (WorkflowTimeoutError, Code.TIMEOUT),
    (StoreUnavailable, Code.UNREACHABLE),
    (StoreDenied, Code.UNREACHABLE),
    (SchemaError, Code.UNREACHABLE),
    (ConfigurationError, Code.USAGE),
    (InvalidPayload, Code.USAGE),
)


class Stopped(Exception):
    """Ends a command with one line and an exit code.

    Args:
        message: what is wrong and what to do.
        code: the exit code.
    """

    def __init__(self, message: str, code: Code = Code.FAILED) -> None:
        super().__init__(message)
        self.message = inert(message)
        self.code = code


def complain(stopped: Stopped, *, machine: bool) -> None:
    """Say on stderr why a command ended, and on stdout too where a program reads it."""
    if machine:
        click.echo(json.dumps({"error": stopped.message, "exit_code": int(stopped.code)}))
    click.echo(f"polos: {stopped.message}", err=True)


@contextmanager
def wrong_calls() -> Iterator[None]:
    """Say of a value that a client refuses that the call is wrong; errors of Polos stay."""
    try:
        yield
    except PolosError:
        raise
    except (TypeError, ValueError) as error:
        raise Stopped(str(error), Code.USAGE) from error


def code_of(error: PolosError) -> Code:
    """The exit code that an error of Polos asks for."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Code.FAILED)
