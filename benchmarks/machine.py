"""The machine and the versions that figures belong to, and the durability that they assume."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import psycopg
from redis import Redis
from sqlalchemy import text

from polos.store.sql_store import SqlStore

LIBRARIES = ("celery", "kombu", "redis", "sqlalchemy", "psycopg", "pydantic")
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
SHOWN = (*DURABLE, "wal_sync_method", "commit_delay", "shared_buffers", "server_version")
_SQLITE_FULL = 2

Description = dict[str, str]


class NotDurable(Exception):
    """A database that may forget what it has acknowledged: the bench ends."""


def describe() -> Description:
    """The machine and what runs on it, in words."""
    return {
        "CPU": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in LIBRARIES},
        "SQLite": sqlite3.sqlite_version,
    }


def load() -> float:
    """Processes that wanted a core in the last minute: near 0 on a quiet machine."""
    return os.getloadavg()[0]


def caption(description: Mapping[str, str]) -> str:
    """One line for below a plot."""
    named = ("Python", "celery", "PostgreSQL", "Redis")
    versions = ", ".join(f"{name} {description[name]}" for name in named if name in description)
    head = f"{description['cores']} cores of {description['CPU']}, {description['memory']}"
    return f"{head}; {versions}"


def postgres_settings(connection: psycopg.Connection[Any]) -> Description:
    """What the live server says of itself."""
    return {name: _shown(connection, name) for name in SHOWN}


def assert_durable_postgres(connection: psycopg.Connection[Any]) -> Description:
    """The server's settings.

    Raises:
        NotDurable: one of ``DURABLE`` is not on, for this server or this connection's database.
    """
    settings = postgres_settings(connection)
    for name in DURABLE:
        if settings[name] != "on":
            raise NotDurable(f"PostgreSQL has {name} = {settings[name]}")
    weakened = connection.execute(
        "SELECT unnest(setconfig) FROM pg_db_role_setting", prepare=False
    ).fetchall()
    for (setting,) in weakened:
        if setting.split("=")[0] in DURABLE and not setting.endswith("=on"):
            raise NotDurable(f"a database or a role of PostgreSQL has {setting}")
    return settings


def assert_durable_sqlite(store: SqlStore) -> str:
    """What ``PRAGMA synchronous`` is in our own connections.

    Raises:
        NotDurable: it is neither FULL nor EXTRA.
    """
    [row] = store.database.run(text("PRAGMA synchronous"))
    if int(row[0]) < _SQLITE_FULL:
        raise NotDurable(f"SQLite has synchronous = {row[0]}")
    return {2: "FULL", 3: "EXTRA"}[int(row[0])]


def redis_version(url: str) -> str:
    """Of the live server."""
    with Redis.from_url(url) as client:
        return str(client.info("server")["redis_version"])


def _shown(connection: psycopg.Connection[Any], name: str) -> str:
    row = connection.execute("SELECT current_setting(%s)", [name], prepare=False).fetchone()
    assert row is not None
    return str(row[0])


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "unknown")
