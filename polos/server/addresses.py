"""Whether a request comes from this machine, and whether a server may be reached from others."""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest

from polos.errors import ConfigurationError

# Set by what stands between a client and this server, and makes it look as if on this machine.
_FORWARDED = frozenset({"forwarded", "via", "x-client-ip", "x-real-ip", "x-scheme"})
_FORWARDED_PREFIX = "x-forwarded"
_OPENED = "FLOWER_UNAUTHENTICATED_API"
_YES = frozenset({"1", "true", "yes", "on", "y", "t"})


def has_authentication(options: Any) -> bool:
    """Whether Flower, with these options, asks who somebody is."""
    return bool(getattr(options, "basic_auth", None) or getattr(options, "auth", None))


def is_local(request: HTTPServerRequest) -> bool:
    """Whether a request comes from this machine, and was meant for it.

    The Host header counts because a browser sends another site's scripts here as well, if that
    site's name leads here; through a proxy everybody would be local.
    """
    names = {name.lower() for name in request.headers}
    if names & _FORWARDED or any(name.startswith(_FORWARDED_PREFIX) for name in names):
        return False
    return _is_from_here(request) and is_loopback(_name_in(request.host))


def is_loopback(name: str) -> bool:
    """Whether a name or an address is always this machine's own."""
    if name.lower() == "localhost":
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def refuse_open_address(address: str, options: Any) -> None:
    """See to it that a server which asks nobody who they are is reached from this machine only.

    Args:
        address: that it is to listen at; empty for all.
        options: Flower's: ``basic_auth`` and ``auth``.

    Raises:
        ConfigurationError: it would be open to others; says what to set.

    Example:
        >>> from types import SimpleNamespace
        >>> refuse_open_address("127.0.0.1", SimpleNamespace(basic_auth=[], auth=""))
    """
    opened = os.environ.get(_OPENED, "").lower() in _YES
    if opened or has_authentication(options) or _all_loopback(address):
        return
    raise ConfigurationError(
        f"a server at {address or 'all addresses'} would let everybody see and change everything: "
        "set FLOWER_BASIC_AUTH=user:password or FLOWER_AUTH (OAuth), or listen at 127.0.0.1. "
        f"Where something in front of it keeps others out, {_OPENED}=true says so"
    )


def _all_loopback(address: str) -> bool:
    if not address or is_loopback(address):
        return bool(address)
    try:
        found = socket.getaddrinfo(address, None)
    except (OSError, UnicodeError):
        return False
    return all(is_loopback(str(place[0])) for *_, place in found)


def _is_from_here(request: HTTPServerRequest) -> bool:
    context = getattr(request.connection, "context", None)
    if getattr(context, "address_family", None) == getattr(socket, "AF_UNIX", -1):
        return True
    return is_loopback(request.remote_ip or "")


def _name_in(host: str) -> str:
    """The name in a Host header, without its port; an address of IPv6 without its brackets."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
