"""The worker's side of a message: notices revocations, and when the process that ran it died."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from celery import signals
from celery.concurrency.base import BasePool
from celery.worker.request import Request
from celery.worker.state import task_ready

from polos.binding.masking import masked_fields
from polos.binding.names import REVOKED_HEADER
from polos.binding.pool_watch import expect_loss_soon
from polos.binding.tasks import Revoked
from polos.codec import redacted, redacted_text


class PolosRequest(Request):
    """A request whose execution is free for others as soon as its pool process is gone."""

    _argsrepr: str | None
    _kwargsrepr: str | None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # What kombu raises for a message of a connection that is gone; it would end the worker.
        celerys: Any = self
        celerys._connection_errors = (*celerys._connection_errors, AttributeError)
        self._mask_arguments()

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's name
        """Celery's own; what ``polos_redact`` names is masked in it."""
        names = self._redact
        super().send_event(type, **(masked_fields(fields, names) if names else fields))

    def info(self, safe: bool = False) -> dict[str, Any]:
        """Celery's own, for who asks what a worker has; masked in the same way."""
        told: dict[str, Any] = super().info(safe)
        names = self._redact
        return told | {name: redacted(told.get(name), names) for name in ("args", "kwargs")}

    def revoked(self) -> bool:
        """Whether the message is over; where its id is revoked, its task has still to cancel."""
        super().revoked()
        return bool(self._already_revoked)

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """Celery's own handling; the store hears of it first, else it would be taken up again."""
        # Some pools can't.
        kills = getattr(pool.terminate_job, "__func__", None) is not BasePool.terminate_job
        if self.time_start and kills:
            self.task.bound.terminated(self.id)
        super().terminate(pool, signal)

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Celery's own handling; should the process die, its slot is to be free soon."""
        super().on_accepted(pid, time_accepted)
        if self._apply_result is not None:
            expect_loss_soon(self._apply_result())

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        """Celery's own handling, and a look at whose leases are left behind."""
        try:
            ended = super().on_failure(exc_info, send_failed_event, return_ok)
            error = getattr(exc_info.exception, "exc", exc_info.exception)
            if isinstance(error, Revoked):
                self._say_revoked(terminated=False, signum=None, expired=False)
            return ended
        finally:
            self.task.bound.process_may_be_gone()

    def maybe_expire(self) -> Literal[True] | None:
        """Whether it came too late to start; Celery's own way bars its id from this worker, too.

        The id may be that of an execution which another message has started.
        """
        late = self.expires is not None and self.expires < datetime.now(self.expires.tzinfo)
        return True if late else None

    def on_timeout(self, soft: Any, timeout: Any) -> None:
        """Celery's own handling; a hard limit ends the execution too, it is not tried again."""
        if not soft:
            self.task.bound.hard_limit_hit(self.id, float(timeout))
        super().on_timeout(soft, timeout)

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        """Celery's own would store a state and drop the message; the store has to know first."""
        if not terminated:
            self._request_dict[REVOKED_HEADER] = True
            return
        task_ready(self)
        self.acknowledge()
        self._already_revoked = True
        self._say_revoked(terminated=True, signum=signum, expired=expired)

    def _say_revoked(self, **how: Any) -> None:
        self.send_event("task-revoked", **how)
        signals.task_revoked.send(sender=self.task, request=self._context, **how)

    @property
    def _redact(self) -> tuple[str, ...]:
        names: tuple[str, ...] = self.task.bound.settings.redact
        return names

    def _mask_arguments(self) -> None:
        """Mask what a message says of its arguments: it is logged, and told to monitors."""
        names, given = self._redact, self._request_dict
        if names:
            self._argsrepr = given["argsrepr"] = redacted_text(self._argsrepr or "", names)
            self._kwargsrepr = given["kwargsrepr"] = redacted_text(self._kwargsrepr or "", names)
