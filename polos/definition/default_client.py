"""Which client a call uses that names none."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from polos.errors import ConfigurationError
from polos.model.ports import WorkflowClient

_METHODS = ("start", "get", "cancel", "wait", "wait_async")


class ClientSlot:
    """Holds the client that is used where none is passed."""

    def __init__(self) -> None:
        self._client: WorkflowClient | None = None

    def set(self, client: WorkflowClient | None) -> None:
        """Put a client in the place of the present one; None empties it."""
        self._client = client

    def get(self) -> WorkflowClient | None:
        """The client, if there is one."""
        return self._client


process_slot = ClientSlot()


def client_and_payload(first: Any, payload: Any, call: str) -> tuple[WorkflowClient, Any]:
    """What a start was given: ``start(client, payload)``, or ``start(payload)``.

    Args:
        first: what the caller passed first; without a payload it may be that.
        payload: what the caller passed as the payload.
        call: how the caller is called, for errors.

    Raises:
        TypeError: the first is no client, and can't be the payload.
        ConfigurationError: no client was passed and there is no default.
    """
    if payload is None and isinstance(first, BaseModel | dict) and not _is_client(first):
        return chosen_client(None, call), first
    return chosen_client(first, call), payload


def chosen_client(client: WorkflowClient | None, call: str) -> WorkflowClient:
    """The given client, else the process's default.

    Args:
        client: what the caller passed.
        call: how the caller is called, for the error.

    Raises:
        TypeError: what was passed is no client.
        ConfigurationError: nothing was passed and there is no default.
    """
    if client is None:
        client = process_slot.get()
        if client is None:
            raise ConfigurationError(
                f"{call} has no client: pass one as its first argument, "
                "or create Polos(app) once, whose client is then used"
            )
    elif not _is_client(client):
        raise TypeError(
            f"{call} takes a client or the payload as its first argument, not "
            f"{type(client).__name__}; a payload is a Pydantic model or a dict, and with a client "
            "it comes second"
        )
    return client


def _is_client(candidate: Any) -> bool:
    return all(callable(getattr(candidate, method, None)) for method in _METHODS)
