"""Celery's ``AsyncResult`` of an execution."""

from __future__ import annotations

import logging
from typing import Any

from celery.result import AsyncResult

from polos.binding.of_app import bound_of
from polos.errors import StoreError

log = logging.getLogger("polos.client")


class ExecutionResult(AsyncResult):
    """Celery's own, but for ``revoke``, which needs no worker that hears of it."""

    def revoke(self, *args: Any, **kwargs: Any) -> None:
        """Cancel the execution for good, and tell the workers; with ``terminate`` they kill it."""
        app: Any = self.app
        bound = bound_of(app)
        if bound is not None:
            try:
                bound.cancel(self.id)
            except StoreError as error:
                log.warning("%s; the workers are asked to cancel %s", error, self.id)
        super().revoke(*args, **kwargs)
