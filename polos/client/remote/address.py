"""Where a Polos server is, and what is said to it of who asks."""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, unquote, urlsplit

from polos.errors import ConfigurationError

_API = "/api/polos/"


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a server.

    Attributes:
        url: without a slash at its end and without a password, so that it can be shown.
        credentials: the value of the header ``Authorization``; None for none.
        is_loopback: whether it is on this host.
    """

    url: str
    credentials: str | None = field(default=None, repr=False)
    is_loopback: bool = False

    @classmethod
    def of(cls, api_url: str, api_key: str | None = None) -> Address:
        """The address of ``api_url``, with a key for it.

        Raises:
            ConfigurationError: it is none, or the key can't be sent.
        """
        parts = _split(api_url)
        host = parts.hostname or ""
        shown = f"[{host}]" if ":" in host else host
        place = shown if parts.port is None else f"{shown}:{parts.port}"
        url = f"{parts.scheme}://{place}{parts.path.rstrip('/')}"
        return cls(url, _credentials(parts, api_key), _is_loopback(host))

    def to(self, *path: str) -> str:
        """The URL of something in the API.

        Args:
            path: its parts, of which each may hold anything.
        """
        return self.url + _API + "/".join(map(_quoted, path))


def _split(api_url: str) -> SplitResult:
    wrong = "api_url (or POLOS_API_URL) is no address of a server"
    try:
        parts = urlsplit(api_url.strip())
        _ = parts.port
    except ValueError as error:
        raise ConfigurationError(f"{wrong}: {error}; set http://host:port") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{wrong}; set one that begins with http:// or https://")
    if parts.query or parts.fragment or not parts.netloc.isprintable() or " " in parts.netloc:
        raise ConfigurationError(f"{wrong}; set http://host:port, or with a path behind it")
    return parts


def _credentials(parts: SplitResult, api_key: str | None) -> str | None:
    key = (api_key or "").strip()
    if key:
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise ConfigurationError(
                "api_key (or POLOS_API_KEY) holds characters that no key has; copy it again"
            )
        return f"Bearer {key}"
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return "Basic " + base64.b64encode(pair).decode("ascii")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _quoted(part: str) -> str:
    quoted = quote(part, safe="")
    # Else "." and ".." would be steps on the way.
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")
