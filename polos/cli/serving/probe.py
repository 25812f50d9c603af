"""Asks a server how it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

_SECONDS = 1.5
# The server itself asks its database and its broker for so long.
_READY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: the HTTP status; None where nothing came.
        data: the JSON of the answer.
        trouble: why nothing came.
    """

    status: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""

    @property
    def well(self) -> bool:
        """Whether all is well there."""
        return self.status == 200 and self.data.get("status") == "ok"

    @property
    def why(self) -> str:
        """What is wrong, in a few words; empty where nothing is."""
        if self.well:
            return ""
        if self.status is None:
            return f"no answer: {self.trouble}"
        checks = self.data.get("checks")
        bad = _bad(checks) if isinstance(checks, Mapping) else ""
        return bad or f"HTTP {self.status}, which is no answer of a Polos server"


def health(url: str, seconds: float = _SECONDS) -> Answer:
    """Whether a server lives."""
    return _ask(f"{url.rstrip('/')}/api/polos/health", seconds)


def readiness(url: str, seconds: float = _READY_SECONDS) -> Answer:
    """Whether it can work: the database, its schema, the broker."""
    return _ask(f"{url.rstrip('/')}/api/polos/ready", seconds)


def _ask(url: str, seconds: float) -> Answer:
    try:
        # Neither through a proxy, nor stopped by a certificate for another name than this one.
        with httpx.Client(trust_env=False, verify=False, timeout=seconds) as client:
            found = client.get(url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Answer(trouble=str(error) or type(error).__name__)
    try:
        data = found.json()
    except ValueError:
        data = {}
    return Answer(found.status_code, data if isinstance(data, dict) else {})


def _bad(checks: Mapping[str, Any]) -> str:
    return "; ".join(f"{name}: {said}" for name, said in checks.items() if said != "ok")
