"""Whether the server has what it needs: its database, the right schema, its broker."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from celery import Celery

from polos.errors import SchemaError
from polos.server.served import Served
from polos.store.migrate import found_schema
from polos.store.schema import SCHEMA

log = logging.getLogger("polos.server")

OK, FAILED = "ok", "failed"

# Seconds that a check may take, and for which its answer holds: whoever asks more often, or
# without a key, costs nothing.
_PATIENCE = 3.0
_FRESH = 1.0


class Readiness:
    """Checks, for everybody who asks at once.

    Args:
        served: what the process serves.
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        # Not those that answer requests: these may be stuck in what is being checked.
        self._threads = ThreadPoolExecutor(3, thread_name_prefix="polos-ready")
        self._running: asyncio.Task[dict[str, str]] | None = None
        self._checked_at = float("-inf")

    async def checks(self) -> dict[str, str]:
        """``ok`` or ``failed`` for ``store``, ``schema`` and ``broker``."""
        is_stale = time.monotonic() > self._checked_at + _FRESH
        if self._running is None or (self._running.done() and is_stale):
            self._running = asyncio.create_task(self._check())
        return await asyncio.shield(self._running)

    async def _check(self) -> dict[str, str]:
        served = self._served
        store, broker = await asyncio.gather(
            self._try("store", lambda: _schema_of(served)),
            self._try("broker", lambda: _reach(served.bound.app)),
        )
        self._checked_at = time.monotonic()
        is_new_enough = store is not None and store >= SCHEMA
        return {
            "store": _word(store is not None),
            "schema": _word(is_new_enough),
            "broker": _word(broker is not None),
        }

    async def _try(self, what: str, check: Callable[[], str]) -> str | None:
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.wait_for(loop.run_in_executor(self._threads, check), _PATIENCE)
        except Exception as error:  # whatever a driver or a transport says
            log.warning("not ready: %s: %s: %s", what, type(error).__name__, error)
            return None


def _schema_of(served: Served) -> str:
    """The schema that the database has; empty where it has none."""
    try:
        return found_schema(served.bound.store.database) or ""
    except SchemaError as error:
        return error.found or ""


def _reach(app: Celery) -> str:
    with app.connection_for_write(connect_timeout=_PATIENCE) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=_PATIENCE)
    return OK


def _word(is_fine: bool) -> str:
    return OK if is_fine else FAILED
