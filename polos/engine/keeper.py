"""Keeps the leases of one process, and tells its attempts what the store says of them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from polos.engine.contact import Contact
from polos.engine.signals import WorkerStopping
from polos.errors import LeaseLost, StoreError
from polos.model.records import Claimed
from polos.model.workers import Renewal
from polos.store.sql_store import SqlStore

log = logging.getLogger("polos.keeper")

# A step that has been executing for so many seconds is shown.
_LONG = 1.0


class Held(Protocol):
    """An attempt, as far as the keeper speaks to it; from another thread."""

    def abort(self, cause: BaseException) -> None:
        """The lease is lost."""

    def executing(self, seconds: float) -> tuple[str, ...]:
        """The steps that have been executing for so long."""
        ...

    def request_cancel(self) -> None:
        """Somebody cancelled the execution."""

    def look_outside(self) -> None:
        """Something was completed outside."""


class Lease:
    """The lease of one execution, held by this process.

    Attributes:
        lost: whether the store said that it is gone.
        attempt: who is to be told.
        noted: the steps that the store says are executing.
    """

    def __init__(self, claimed: Claimed) -> None:
        self.execution_id = claimed.execution.id
        self.token = claimed.token
        self.wakeups = claimed.execution.wakeups
        self.lost = False
        self.attempt: Held | None = None
        self.noted: tuple[str, ...] = ()

    def hear(self, renewal: Renewal) -> None:
        """Pass on what a heartbeat brought."""
        attempt = self.attempt
        if not renewal.held:
            self.lost = True
            if attempt is not None:
                attempt.abort(LeaseLost(self.execution_id))
        elif attempt is not None and renewal.cancel_requested:
            attempt.request_cancel()
        elif attempt is not None and renewal.wakeups > self.wakeups:
            self.wakeups = renewal.wakeups
            attempt.look_outside()


class Keeper:
    """One thread per process, begun at the first claim and so after the fork.

    Args:
        store: where leases are renewed.
        lease_seconds: how long a renewal holds; three are tried in that time.
        spawn: begins a thread; a daemon thread of ``threading`` where left out.
        contact: hears whether the database can be reached.
    """

    def __init__(
        self,
        store: SqlStore,
        lease_seconds: float,
        spawn: Callable[[Callable[[], None]], None] | None = None,
        contact: Contact | None = None,
    ) -> None:
        self._store = store
        self._lease_seconds = lease_seconds
        self._leases: dict[str, Lease] = {}
        self._spawn = spawn or _daemon_thread
        self._pid = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._stopping = False
        self.contact = contact or Contact()

    @contextmanager
    def holding(self, claimed: Claimed) -> Iterator[Lease]:
        """Keep the lease of a claim for as long as the block lasts."""
        lease = Lease(claimed)
        self._leases[lease.token] = lease
        self._ensure_thread()
        try:
            yield lease
        finally:
            self._leases.pop(lease.token, None)
            if self._stopping and not self._leases:
                self._stop.set()

    def stop(self) -> None:
        """End the thread as soon as no lease is held any more."""
        self._stopping = True
        if not self._leases:
            self._stop.set()

    @property
    def held(self) -> list[str]:
        """The ids of the executions that this process runs."""
        return [lease.execution_id for lease in list(self._leases.values())]

    def hand_back(self) -> None:
        """Stop the attempts of this process; other workers go on with their executions."""
        for lease in list(self._leases.values()):
            if lease.attempt is not None:
                lease.attempt.abort(WorkerStopping())

    def heartbeat(self) -> bool:
        """Renew what is held now, and pass on what the store says; False where nothing is held."""
        leases = list(self._leases.values())
        if not leases:
            return False
        pairs = [(lease.execution_id, lease.token) for lease in leases]
        renewals = self._store.renew(pairs, self._lease_seconds)
        for lease, renewal in zip(leases, renewals, strict=True):
            if lease.token in self._leases:
                lease.hear(renewal)
        for lease in leases:
            self._note(lease)
        return True

    def _note(self, lease: Lease) -> None:
        """Let people see the steps that take long; they have no row before they end."""
        if lease.attempt is None or lease.lost:
            return
        steps = lease.attempt.executing(_LONG)
        if steps != lease.noted and self._store.note(lease.execution_id, lease.token, steps):
            lease.noted = steps

    def _ensure_thread(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            self._stop = threading.Event()
            self._spawn(self._run)

    def _run(self) -> None:
        stop = self._stop
        while not stop.wait(self._lease_seconds / 3):
            try:
                answered = self.heartbeat()
            except StoreError as error:
                self.contact.lost(error)
            except Exception:
                log.exception("a heartbeat failed; the next one is due soon")
            else:
                if answered:
                    self.contact.made()


def _daemon_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="polos-keeper", daemon=True).start()
