"""What a message for a workflow's task must look like, whoever wrote it.

Celery takes most of a message on trust: what is of another type than it expects raises somewhere
later, in the loop that reads the messages, in a pool process, or when the task has long succeeded
and its chain is to go on. Here all of it is looked at before anything else sees it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from celery.app.task import Context
from celery.utils.time import maybe_iso8601

from polos.definition.names import check_text

_TEXTS = (
    "argsrepr",
    "correlation_id",
    "group",
    "kwargsrepr",
    "lang",
    "meth",
    "origin",
    "parent_id",
    "reply_to",
    "root_id",
    "shadow",
    "taskset",
)
_COUNTS = ("group_index", "priority", "replaced_task_nesting", "retries")
# What Celery itself makes of a message; an option of this name would take its place.
_FIXED = frozenset({"args", "delivery_info", "hostname", "id", "kwargs", "properties", "task"})
# Celery makes something of these too; what else it knows has a place in its ``Context``.
_KNOWN = frozenset({*_TEXTS, *_COUNTS, "compression", "task", "timelimit"})


class BadMessage(ValueError):
    """What is wrong with a message."""


def check_message(message: Any, body: Any) -> None:
    """Raise BadMessage unless this is a task message, of protocol 1 or 2, that Celery can run.

    Args:
        message: the message, with ``headers`` and ``payload``.
        body: the payload where the headers don't name the task, as in protocol 1.
    """
    headers, args, kwargs, embedded = _parts(message, body)
    if not isinstance(args, list | tuple):
        raise BadMessage(f"its args are {_kind(args)}, no list")
    if not (isinstance(kwargs, Mapping) and _has_text_keys(kwargs)):
        raise BadMessage(f"its kwargs are {_kind(kwargs)}, no dict with texts as keys")
    if "self" in kwargs:
        raise BadMessage("its kwargs hold 'self', which Celery has a use for; pass one argument")
    _check_id(headers.get("id"))
    _check_names(headers, embedded)
    _check_types({**headers, **(message.properties or {}), **embedded})


def check_options(kept: Any) -> None:
    """Raise BadMessage unless these are options as ``apply_async`` takes them."""
    if not isinstance(kept, Mapping):
        raise BadMessage(f"they are {_kind(kept)}, no dict")
    limits = (kept.get("time_limit"), kept.get("soft_time_limit"))
    linked = {
        there: value if isinstance(value, list | tuple | None) else [value]
        for there, value in (("callbacks", kept.get("link")), ("errbacks", kept.get("link_error")))
    }
    _check_types({**kept, "group": kept.get("group_id"), "timelimit": limits, **linked})
    for name in kept.get("headers") or ():
        if not is_custom(name):
            raise BadMessage(f"a header of its own has Celery's name {str(name)[:100]!r}")


def is_custom(name: Any) -> bool:
    """Whether a header of this name is the sender's own: Celery has no use for it."""
    return isinstance(name, str) and not hasattr(Context, name) and name not in _KNOWN


def _check_types(found: Mapping[str, Any]) -> None:
    for name in _TEXTS:
        _check(name, found.get(name), isinstance(found.get(name), str), "text")
    for name in _COUNTS:
        _check(name, found.get(name), type(found.get(name)) is int, "whole number")
    for name in ("headers", "stamps"):
        _check(name, found.get(name), isinstance(found.get(name), Mapping), "dict")
    _check_time_limits(found.get("timelimit"))
    _check_stamped(found.get("stamped_headers"))
    for name in ("callbacks", "errbacks", "chain"):
        _check(name, found.get(name), _are_signatures(found.get(name)), "list of signatures")
    for name in ("eta", "expires"):
        _check(name, found.get(name), _is_moment(found.get(name)), "moment in ISO 8601")
    _check("chord", found.get("chord"), _is_signature(found.get("chord")), "signature")


def _parts(message: Any, body: Any) -> tuple[Mapping[str, Any], Any, Any, Mapping[str, Any]]:
    """Headers, args, kwargs, and the options that travel in the body."""
    payload = message.payload if body is None else body
    if body is None and not (isinstance(payload, Mapping) and "args" in payload):
        if not (isinstance(payload, list | tuple) and len(payload) == 3):
            raise BadMessage(f"its body is {_kind(payload)}, not args, kwargs and options")
        args, kwargs, embedded = payload
        if not isinstance(embedded, Mapping | None):
            raise BadMessage(f"its options are {_kind(embedded)}, no dict")
        return message.headers, args, kwargs, embedded or {}
    if not isinstance(payload, Mapping):
        raise BadMessage(f"its body is {_kind(payload)}, no dict")
    headers = payload if body is not None else {**payload, **(message.headers or {})}
    embedded = {name: payload.get(name) for name in ("callbacks", "errbacks", "chord")}
    return headers, payload.get("args", ()), payload.get("kwargs", {}), embedded


def _check_id(value: Any) -> None:
    try:
        check_text("its id", value, empty=False)
    except ValueError as error:
        raise BadMessage(str(error)) from None
    if value is None:
        raise BadMessage("it has no id")


def _check_names(headers: Mapping[Any, Any], embedded: Mapping[Any, Any]) -> None:
    """Celery makes attributes of all names, which must not hide methods or one another."""
    for name in (*headers, *embedded):
        if not isinstance(name, str) or callable(getattr(Context, name, None)):
            raise BadMessage(f"it has an option of the impossible name {str(name)[:100]!r}")
    if taken := _FIXED.intersection(embedded):
        raise BadMessage(f"its options hold {', '.join(sorted(taken))}")


def _check_time_limits(value: Any) -> None:
    fits = (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(limit is None or _is_time(limit) for limit in value)
    )
    _check("timelimit", value, fits, "pair of positive numbers")


def _check_stamped(value: Any) -> None:
    fits = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
    _check("stamped_headers", value, fits, "list of texts")


def _check(name: str, value: Any, fits: bool, wanted: str) -> None:
    if value is not None and not fits:
        raise BadMessage(f"its {name} is {_kind(value)}, no {wanted}")


def _are_signatures(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_signature, value))


def _is_signature(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and _has_text_keys(value)
        and isinstance(value.get("task"), str)
        and isinstance(value.get("args") or (), list | tuple)
        and isinstance(value.get("kwargs") or {}, Mapping)
        and isinstance(value.get("options") or {}, Mapping)
    )


def _is_moment(value: Any) -> bool:
    try:
        moment = value if isinstance(value, datetime) else maybe_iso8601(value)
    except (AttributeError, TypeError, ValueError):
        return False
    # Some days of either end are out of reach in some time zones.
    return isinstance(moment, datetime) and 1 < moment.year < 9999


def _is_time(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > 0


def _has_text_keys(value: Mapping[Any, Any]) -> bool:
    return all(isinstance(key, str) for key in value)


def _kind(value: Any) -> str:
    return "missing" if value is None else f"of type {type(value).__name__}"
