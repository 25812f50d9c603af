"""Which client a call uses that names none."""

from __future__ import annotations

import gc
import weakref
from typing import Any, Protocol

from pydantic import BaseModel

from polos.errors import ConfigurationError
from polos.model.ports import WorkflowClient

_METHODS = ("start", "get", "cancel", "wait", "wait_async")


class AppClient(WorkflowClient, Protocol):
    """A client that is bound to a Celery app."""

    @property
    def app_name(self) -> str | None:
        """The main name of that app."""
        ...

    def runs(self, workflow_id: str) -> bool:
        """Whether the app has that workflow."""
        ...


class ClientSlot:
    """Holds the client that is used where none is passed.

    That is the one that was put here, else the one of the Celery app that Polos is bound to. An app
    that nobody holds any more, as of a factory that is called for each test, doesn't count.
    """

    def __init__(self) -> None:
        self._client: WorkflowClient | None = None
        self._bound: list[weakref.ref[AppClient]] = []

    def set(self, client: WorkflowClient | None) -> None:
        """Put a client in the place of the present one; None empties it."""
        self._client = client

    def get(self) -> WorkflowClient | None:
        """The client that was put here, else that of the only bound app, if there is one."""
        if self._client is not None:
            return self._client
        bound = self._newest()
        return bound[0] if len(bound) == 1 else None

    def add_bound(self, client: AppClient) -> None:
        """Note the client of an app; it is held by that app, not here."""
        self._bound.append(weakref.ref(client))

    def remove_bound(self, client: AppClient) -> None:
        """Forget the client of an app."""
        self._bound = [ref for ref in self._bound if ref() not in (None, client)]

    def choose(
        self,
        workflow_id: str | None,
        call: str,
        name_one: str = "pass the Polos of the one that is meant as its first argument",
    ) -> WorkflowClient | None:
        """The client for a workflow; None where there is none.

        Args:
            workflow_id: apps without it are not considered.
            call: how the caller is called, for the error.
            name_one: what else the caller can do, for the error.

        Raises:
            ConfigurationError: there are several.
        """
        if self._client is not None:
            return self._client
        found = self._for(workflow_id)
        if len(found) > 1:
            found.clear()  # it holds them
            gc.collect()  # apps are parts of circles
            found = self._for(workflow_id)
        if len(found) > 1:
            names = ", ".join(repr(client.app_name or "without a name") for client in found)
            raise ConfigurationError(
                f"{call} could be started in several Celery apps ({names}): {name_one}, or call "
                "set_default() of its Polos once"
            )
        return found[0] if found else None

    def _for(self, workflow_id: str | None) -> list[AppClient]:
        found = self._newest()
        return [it for it in found if workflow_id is None or it.runs(workflow_id)]

    def _newest(self) -> list[AppClient]:
        """The bound clients; of apps of one name the last, which a factory made in their place."""
        self._bound = [ref for ref in self._bound if ref() is not None]
        newest: dict[object, AppClient] = {}
        for client in (ref() for ref in self._bound):
            if client is not None:
                newest[client.app_name or id(client)] = client
        return list(newest.values())


process_slot = ClientSlot()


def client_and_payload(first: Any, payload: Any, workflow_id: str) -> tuple[WorkflowClient, Any]:
    """What a start was given: ``start(client, payload)``, or ``start(payload)``.

    Args:
        first: what the caller passed first; without a payload it may be that.
        payload: what the caller passed as the payload.
        workflow_id: what is to be started; apps without it are not considered.

    Raises:
        TypeError: the first is no client, and can't be the payload.
        ConfigurationError: no client was passed and there is no default, or more than one.
    """
    call = f"workflow {workflow_id!r}"
    client, is_payload = first, isinstance(first, BaseModel | dict) and not _is_client(first)
    if is_payload and payload is None:
        client, payload = None, first
    return chosen_client(client, call, workflow_id), payload


def chosen_client(
    client: WorkflowClient | None, call: str, workflow_id: str | None = None
) -> WorkflowClient:
    """The given client, else the process's default.

    Args:
        client: what the caller passed.
        call: how the caller is called, for the error.
        workflow_id: what is to be started, if anything is; apps without it are not considered.

    Raises:
        TypeError: what was passed is no client.
        ConfigurationError: nothing was passed and there is no default, or more than one.
    """
    if client is None:
        found = process_slot.choose(workflow_id, call)
        if found is None:
            way = "pass one as its first argument" if workflow_id else "ask with get(client)"
            raise ConfigurationError(
                f"{call} has no client: {way}, or create Polos(app) once, whose client is then used"
            )
        return found
    if not _is_client(client):
        given = type(client).__name__
        if workflow_id is None:
            raise TypeError(f"{call} takes a client, not {given}; pass a PolosClient()")
        raise TypeError(
            f"{call} takes a client or the payload as its first argument, not {given}; a payload "
            "is a Pydantic model or a dict, and with a client it comes second"
        )
    return client


def _is_client(candidate: Any) -> bool:
    return all(callable(getattr(candidate, method, None)) for method in _METHODS)
