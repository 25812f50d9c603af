"""Masks what ``polos_redact`` names in what a worker logs, and tells Celery's monitors."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Collection, Mapping
from typing import Any

from celery.utils.saferepr import saferepr

from polos.binding.names import PREFIX
from polos.codec import redacted, redacted_text

# Celery's loggers tell of all tasks, with their arguments and results; its own context names them.
_CELERYS = ("celery.app.trace", "celery.worker.strategy")
_OWN = ("client", "dispatch", "engine", "execution", "step", "store", "sweep", "worker")
# As Celery cuts them.
_LONGEST = 1024
_SHOWN = ("args", "exc", "exception", "kwargs", "result", "return_value", "traceback")


def masked_fields(fields: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The fields of an event, or of Celery's own log context, with masks where they show values."""
    return {
        name: redacted_text(str(value), names) if name in _SHOWN and value is not None else value
        for name, value in fields.items()
    }


def shown_arguments(args: Any, kwargs: Any, names: Collection[str]) -> dict[str, str]:
    """The options of a message that say what its arguments are, where something is to be masked."""
    if not names:
        return {}
    given = {"argsrepr": args or (), "kwargsrepr": kwargs or {}}
    return {name: saferepr(redacted(value, names), _LONGEST) for name, value in given.items()}


def mask_logs(names: Collection[str]) -> None:
    """Mask these names in all that this process logs of workflows from now on."""
    _filter.names |= frozenset(names)
    if not _filter.names:
        return
    for logger in (*_CELERYS, *(f"polos.{name}" for name in _OWN)):
        # A filter that is there already is not added again.
        logging.getLogger(logger).addFilter(_filter)


class _Masking(logging.Filter):
    names: frozenset[str] = frozenset()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let all pass, with masks in it."""
        if isinstance(record.args, Mapping):
            self._mask_celerys(record)
        elif not record.name.startswith("celery."):
            self._mask_own(record)
        return True

    def _mask_celerys(self, record: logging.LogRecord) -> None:
        context = record.args
        assert isinstance(context, Mapping)
        if str(context.get("name", "")).startswith(PREFIX):
            record.args = masked_fields(context, self.names)
            record.__dict__["data"] = record.args
            self._mask_traceback(record)

    def _mask_own(self, record: logging.LogRecord) -> None:
        if record.args:
            record.args = tuple(map(self._masked, record.args))
        self._mask_traceback(record)

    def _mask_traceback(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is not None:
            text = "".join(traceback.format_exception(error)).rstrip()
            record.exc_info, record.exc_text = None, redacted_text(text, self.names)

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            return redacted_text(value, self.names)
        return _Text(value, self.names) if isinstance(value, BaseException) else value


class _Text:
    """An error as its masked text, however it is formatted."""

    def __init__(self, error: BaseException, names: Collection[str]) -> None:
        self._error = error
        self._names = names

    def __str__(self) -> str:
        return redacted_text(str(self._error), self._names)

    def __repr__(self) -> str:
        return redacted_text(repr(self._error), self._names)


_filter = _Masking()
