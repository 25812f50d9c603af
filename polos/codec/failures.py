"""Failures: made of exceptions, to bytes and back."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from itertools import dropwhile
from pathlib import Path
from types import TracebackType

from polos.codec.refusal import name_of
from polos.codec.unpacking import parse
from polos.codec.values import MAX_VALUE_BYTES, to_bytes
from polos.errors import CodecError, PolosError, StepExecutionError
from polos.model.records import Failure, Tried

_TRACEBACK_CHARACTERS = 8_000
_REASON_CHARACTERS = 64_000
# Of the attempts before the last, so many are kept, and so much of their texts.
_MOST_ATTEMPTS = 20
_SHORT_CHARACTERS = 500
_NAMES = frozenset(field.name for field in fields(Failure))
_TRIED = frozenset(field.name for field in fields(Tried))
_POLOS = f"{Path(__file__).parents[1]}/"


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
        cause=_cause(exception),
    )


def _cause(exception: BaseException) -> str:
    """The key of the step whose error led to another one."""
    seen: set[int] = set()
    link: BaseException | None = exception
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link, StepExecutionError) and link.step_key:
            return link.step_key
        link = link.__cause__ or link.__context__
    return ""


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
        trace = _of_user(exception)
        text = "".join(traceback.format_exception(type(exception), exception, trace))
    except Exception:  # as above, while the traceback shows causes and notes
        return ""
    if len(text) <= _TRACEBACK_CHARACTERS:
        return text
    # The last frames are those where it happened.
    return "…" + text[-_TRACEBACK_CHARACTERS:]


def _of_user(exception: BaseException) -> TracebackType | None:
    """Its traceback without the frames of Polos that led to the user's code.

    Of an error that Polos raised on purpose, those behind the user's code are left out as well.
    """
    links = [exception.__traceback__]
    while links[-1] is not None:
        links.append(links[-1].tb_next)
    frames = list(dropwhile(_is_of_polos, (link for link in links if link is not None)))
    if isinstance(exception, PolosError):
        frames = list(dropwhile(_is_of_polos, frames[::-1]))[::-1]
    # Where nobody else's code had a part, it is a defect of Polos.
    trace = None if frames else exception.__traceback__
    for link in reversed(frames):
        trace = TracebackType(trace, link.tb_frame, link.tb_lasti, link.tb_lineno)
    return trace


def _is_of_polos(link: TracebackType) -> bool:
    return link.tb_frame.f_code.co_filename.startswith(_POLOS)


def encode_history(tried: Sequence[Tried]) -> bytes | None:
    """The last of the attempts that failed, as bytes; None for none."""
    if not tried:
        return None
    kept = [replace(it, reason=_shortened(it.reason)) for it in tried[-_MOST_ATTEMPTS:]]
    return to_bytes([asdict(it) for it in kept], MAX_VALUE_BYTES)


def decode_history(data: bytes | None) -> tuple[Tried, ...]:
    """The attempts of bytes that ``encode_history`` gave; none where they can't be read."""
    if data is None:
        return ()
    try:
        # A newer release may say more of each.
        return tuple(Tried(**{k: v for k, v in it.items() if k in _TRIED}) for it in parse(data))
    except (AttributeError, CodecError, TypeError):
        # For people only: nothing may fail because of it.
        return ()


def _shortened(text: str) -> str:
    return text if len(text) <= _SHORT_CHARACTERS else f"{text[:_SHORT_CHARACTERS]}…"
