"""Who asks, what of it they may see, and whether they may change anything."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from tornado.web import RequestHandler

from polos.errors import ConfigurationError
from polos.server.served import Served


class Refused(Exception):
    """A request that is not answered.

    Attributes:
        status: the HTTP status, 401 or 403.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        name: for the log: a key's name, Flower's user, or the address.
        project_id: the only project that they see; None for all.
        may_change: whether they may start, cancel, retry, fork and prune.
        sees_masked: whether they get values as they are, also where ``polos_redact`` names a field.
    """

    name: str
    project_id: str | None = None
    may_change: bool = True
    sees_masked: bool = False


async def caller_of(handler: RequestHandler, served: Served) -> Caller:
    """Who sends a request; raises Refused."""
    return Caller(handler.request.remote_ip or "", sees_masked=True)


def check_change(handler: RequestHandler, caller: Caller) -> None:
    """Raise Refused unless this caller may change things, and it can't be another site's doing."""


def refuse_open_address(address: str, options: Any) -> None:
    """See that nobody from elsewhere gets in where nobody has to log in.

    Args:
        address: where the server is to listen; empty for everywhere.
        options: Flower's.

    Raises:
        ConfigurationError: it is no loopback address, and no authentication is configured.
    """
    if options.basic_auth or options.auth or _is_loopback(address):
        return
    raise ConfigurationError(
        f"without authentication the server listens on 127.0.0.1 only, not on "
        f"{address or 'all addresses'}: give --basic-auth user:password, or OAuth by Flower's "
        "--auth, or put a proxy that authenticates in front of 127.0.0.1"
    )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
