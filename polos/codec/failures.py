"""Failures: made of exceptions, to bytes and back."""

from __future__ import annotations

import traceback
from dataclasses import asdict, fields

from polos.codec.refusal import name_of
from polos.codec.unpacking import parse
from polos.codec.values import MAX_VALUE_BYTES, to_bytes
from polos.errors import CodecError
from polos.model.records import Failure

_TRACEBACK_CHARACTERS = 8_000
_REASON_CHARACTERS = 64_000
_NAMES = frozenset(field.name for field in fields(Failure))


def encode_failure(failure: Failure) -> bytes:
    """A failure as bytes."""
    return to_bytes(asdict(failure), MAX_VALUE_BYTES)


def decode_failure(data: bytes) -> Failure:
    """The failure of bytes that ``encode_failure`` gave.

    Raises:
        CodecError: the data is damaged.
    """
    found = parse(data)
    try:
        return Failure(**{name: value for name, value in found.items() if name in _NAMES})
    except (AttributeError, TypeError) as error:
        raise CodecError(f"a kept failure is damaged: {error}") from error


def failure_of(exception: BaseException, step_key: str = "", attempts: int = 0) -> Failure:
    """An exception as it is stored. Never raises, whatever the exception's own methods do.

    Args:
        exception: what was raised.
        step_key: the key of the step that raised it; empty for the workflow's own code.
        attempts: how often that step was tried.
    """
    kind = type(exception)
    return Failure(
        reason=_reason(exception) or kind.__name__,
        error_type=name_of(kind),
        step_key=step_key,
        attempts=attempts,
        traceback=_traceback(exception),
    )


def _reason(exception: BaseException) -> str:
    try:
        text = "".join((str(exception),))
    except Exception as error:  # the exception's own __str__; any error is possible
        return f"(its text can't be made: {type(error).__name__})"
    if len(text) <= _REASON_CHARACTERS:
        return text
    return f"{text[:_REASON_CHARACTERS]}… ({len(text):,} characters)"


def _traceback(exception: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(exception))
    except Exception:  # as above, while the traceback shows causes and notes
        return ""
    if len(text) <= _TRACEBACK_CHARACTERS:
        return text
    # The last frames are those where it happened.
    return "…" + text[-_TRACEBACK_CHARACTERS:]
