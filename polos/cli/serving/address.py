"""Where a server listens: whether that is free, and what people type to get there."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

from polos.cli.exits import Code, Stopped
from polos.cli.serving import probe

# What stands for all addresses of a host is reached by its own.
_ALL = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port.

    Attributes:
        prefix: of all paths, without slashes around it.
        secure: whether it speaks TLS.
    """

    host: str
    port: int
    prefix: str = ""
    secure: bool = False

    @property
    def url(self) -> str:
        """How it is reached from this host."""
        host = _ALL.get(self.host, self.host)
        shown = f"[{host}]" if ":" in host else host
        path = f"/{self.prefix}" if self.prefix else ""
        return f"http{'s' if self.secure else ''}://{shown}:{self.port}{path}"


def check_free(address: Address) -> None:
    """See that a server may listen there.

    Raises:
        Stopped: something else does, or this host has no such address.
    """
    try:
        places = socket.getaddrinfo(
            address.host or None,
            address.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
    except socket.gaierror as error:
        raise Stopped(f"--host {address.host}: {error.strerror}", Code.USAGE) from None
    for family, kind, protocol, _, place in places:
        try:
            with socket.socket(family, kind, protocol) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind(place)
        except OSError as error:
            _explain(address, error)


def _explain(address: Address, error: OSError) -> None:
    if error.errno == errno.EADDRINUSE:
        raise Stopped(
            f"port {address.port} of {address.host} is in use by {_whom(address)}; "
            "end that, or take another one with --port"
        ) from error
    if error.errno == errno.EACCES:
        raise Stopped(f"this user may not listen on port {address.port}") from error
    if error.errno == errno.EADDRNOTAVAIL:
        raise Stopped(f"--host {address.host} is no address of this host", Code.USAGE) from error
    # A family that this host doesn't have; the server leaves it out as well.


def _whom(address: Address) -> str:
    health = probe.health(address.url)
    return "a Polos server of another folder" if health.well else "another program"
