"""Settings: their names, defaults and units, and where they are found.

Each field is ``polos_<name>`` in a Celery configuration and ``POLOS_<NAME>`` in the environment;
the Celery configuration wins.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from polos.errors import ConfigurationError

HOME_NAME = ".polos"
# A hundred years, in days and in seconds: what is longer is no time that every database holds.
LONGEST_RETENTION = 36_500
LONGEST_SECONDS = LONGEST_RETENTION * 86_400
_YES = {"1", "true", "yes", "on"}
_NO = {"0", "false", "no", "off"}
_SYNCHRONOUS = ("NORMAL", "FULL", "EXTRA")
# The least that each number may be.
_LEAST: Mapping[str, float] = {
    "wait_threshold_seconds": 0,
    "lease_seconds": 1,
    "countdown_horizon": 0,
    "foreign_grace": 0,
    "max_value_bytes": 1,
    "max_recoveries": 0,
    "soft_shutdown_seconds": 0,
    "unwind_seconds": 0,
}
# They are kept beside each execution.
_LABELS = ("project_id", "deployment_id")
_LONGEST_LABEL = 255


@dataclass(frozen=True, slots=True)
class Settings:
    """All that can be set.

    Attributes:
        broker_url: the broker; the embedded filesystem one where empty.
        database_url: the store, a SQLAlchemy URL; the embedded SQLite where empty.
        project_id: the namespace in the store.
        deployment_id: a label to list executions by.
        workflows: modules or files that define workflows, separated by commas.
        autodiscover: whether ``workflows.py`` is found where an app looks for ``tasks.py``.
        auto_migrate: migrate a server database at start-up (the embedded one always is).
        wait_threshold_seconds: shorter waits are slept in place, others park.
        lease_seconds: how long a worker owns an execution without a sign of life.
        countdown_horizon: seconds; nearer ends of waits get a message with a countdown.
        foreign_grace: seconds that awaiting something outside of steps counts as work.
        max_value_bytes: the largest encoded value that is kept.
        max_recoveries: consecutive recoveries without a new checkpoint before giving up.
        soft_shutdown_seconds: how long a step may go on after SIGTERM before its execution is
            handed on; Celery's ``worker_soft_shutdown_timeout`` where that is set.
        unwind_seconds: how long an ended attempt's tasks may take to clean up.
        retention_days: days after its end after which an execution is deleted; 0 keeps all.
        record_inputs: keep beside each step what it was given, for people, cut where it is long.
        sqlite_synchronous: ``FULL``, or ``NORMAL`` (may lose the last commits when power fails).
        redact: names of fields that nobody gets to see in pages, logs and events; where it is
            given as a text, separated by commas.
    """

    broker_url: str = ""
    database_url: str = ""
    project_id: str = "default"
    deployment_id: str = ""
    workflows: str = ""
    autodiscover: bool = True
    auto_migrate: bool = False
    wait_threshold_seconds: float = 0.5
    lease_seconds: float = 15.0
    countdown_horizon: float = 30.0
    foreign_grace: float = 10.0
    max_value_bytes: int = 4 * 1024 * 1024
    max_recoveries: int = 10
    soft_shutdown_seconds: float = 25.0
    unwind_seconds: float = 5.0
    retention_days: float = 0.0
    record_inputs: bool = True
    sqlite_synchronous: str = "FULL"
    redact: tuple[str, ...] = ()

    @classmethod
    def load(cls, conf: Mapping[str, Any] | None = None, **given: Any) -> Settings:
        """Given values, then a Celery configuration, then the environment, then defaults."""
        unknown = set(given) - {field.name for field in fields(cls)}
        if unknown:
            raise TypeError(f"no setting is called {', '.join(sorted(unknown))}")
        found: dict[str, Any] = {}
        for field in fields(cls):
            value = given.get(field.name)
            if value is None and conf is not None:
                value = conf.get(f"polos_{field.name}")
            if value is None:
                value = os.environ.get(f"POLOS_{field.name.upper()}")
            if value not in (None, ""):
                found[field.name] = _converted(field.name, value, field.default)
        return replace(cls(), **found)


def _converted(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, tuple):
        return _names(name, value)
    if isinstance(default, bool):
        word = str(value).lower()
        if word not in _YES | _NO:
            raise ConfigurationError(
                f"POLOS_{name.upper()} (polos_{name}) is {value!r}; it must be 1 or 0"
            )
        return word in _YES
    if name == "sqlite_synchronous" and str(value).upper() not in _SYNCHRONOUS:
        raise ConfigurationError(
            f"POLOS_SQLITE_SYNCHRONOUS is {value!r}; it must be one of {', '.join(_SYNCHRONOUS)}"
        )
    try:
        made = type(default)(value)
    except (TypeError, ValueError, OverflowError):
        wanted = "a number" if isinstance(default, int | float) else "text"
        raise ConfigurationError(
            f"POLOS_{name.upper()} (polos_{name}) is {value!r}; it must be {wanted}"
        ) from None
    _check(name, made)
    return made


def _check(name: str, value: Any) -> None:
    """Raise ConfigurationError for what no worker or database can do with."""
    wanted = ""
    if name == "retention_days" and not 0 <= value <= LONGEST_RETENTION:
        wanted = f"a number of days up to {LONGEST_RETENTION}, or 0 to keep all"
    elif name in _LEAST and not _LEAST[name] <= value <= LONGEST_SECONDS:  # which nan isn't either
        wanted = f"a number from {_LEAST[name]} to {LONGEST_SECONDS}"
    elif name in _LABELS and not _is_label(value):
        wanted = f"a text of at most {_LONGEST_LABEL} characters, without NUL"
    if wanted:
        raise ConfigurationError(
            f"POLOS_{name.upper()} (polos_{name}) is {value!r}; it must be {wanted}"
        )


def _is_label(text: str) -> bool:
    is_unicode = text.encode("utf-8", "ignore").decode() == text
    return len(text) <= _LONGEST_LABEL and "\0" not in text and is_unicode


def _names(setting: str, value: Any) -> tuple[str, ...]:
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple | set | frozenset) or not all(
        isinstance(name, str) for name in given
    ):
        raise ConfigurationError(
            f"POLOS_{setting.upper()} (polos_{setting}) is {value!r}; it must be names, in a list "
            "or separated by commas"
        )
    return tuple(name.strip() for name in given if name.strip())


def find_home(start: Path | None = None) -> Path:
    """The folder of the embedded broker and database.

    ``POLOS_HOME`` where set, else the nearest ``.polos`` from the current folder upwards, else a
    new one in the current folder. A new one is its owner's alone: payloads and logs are in it.

    Raises:
        ConfigurationError: it can't be made.
    """
    chosen = os.environ.get("POLOS_HOME")
    here = Path(chosen).expanduser() if chosen else _nearest(start or Path.cwd())
    try:
        here.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the folder {str(here)!r} can't be made ({error.strerror}); set POLOS_HOME to "
            "one that can be written"
        ) from error
    return here


def has_home(start: Path | None = None) -> bool:
    """Whether the folder of the embedded broker and database is there already."""
    chosen = os.environ.get("POLOS_HOME")
    return (Path(chosen).expanduser() if chosen else _nearest(start or Path.cwd())).is_dir()


def _nearest(start: Path) -> Path:
    for folder in (start, *start.parents):
        if (folder / HOME_NAME).is_dir():
            return folder / HOME_NAME
    return start / HOME_NAME
