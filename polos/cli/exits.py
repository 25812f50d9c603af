"""What a command ends with: its exit code, and one line that says what was wrong."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import IO, Any

import click

from polos.cli.inert import inert
from polos.errors import (
    ConfigurationError,
    ExecutionNotFound,
    InvalidPayload,
    PolosError,
    SchemaError,
    StoreUnavailable,
    WorkflowNotFound,
    WorkflowTimeoutError,
)


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
    (WorkflowNotFound, Code.NOT_FOUND),
    (WorkflowTimeoutError, Code.TIMEOUT),
    (StoreUnavailable, Code.UNREACHABLE),
    (SchemaError, Code.UNREACHABLE),
    (ConfigurationError, Code.USAGE),
    (InvalidPayload, Code.USAGE),
)


class Stopped(click.ClickException):
    """Ends a command with one line and an exit code.

    Args:
        message: what is wrong and what to do.
        code: the exit code.
        machine: whether a program reads the output, which then gets ``{"error": …}`` too.
    """

    def __init__(self, message: str, code: Code = Code.FAILED, *, machine: bool = False) -> None:
        super().__init__(inert(message))
        self.exit_code = int(code)
        self.machine = machine

    def show(self, file: IO[Any] | None = None) -> None:
        """Say it, on stderr."""
        if self.machine:
            click.echo(json.dumps({"error": self.message, "exit_code": self.exit_code}))
        click.echo(f"polos: {self.message}", file=file, err=file is None)


def code_of(error: PolosError) -> Code:
    """The exit code that an error of Polos asks for."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Code.FAILED)
