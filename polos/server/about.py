"""What the server says of itself."""

from __future__ import annotations

from polos import __version__
from polos.server.operation import Answer, Call
from polos.server.problems import RETRY_AFTER
from polos.server.readiness import FAILED, OK, Readiness


async def health(_call: Call) -> Answer:
    """That it answers; nothing is asked for it."""
    return Answer({"status": OK, "version": __version__})


async def ready(call: Call) -> Answer:
    """Whether it can do its work."""
    checks = await call.served.part(Readiness).checks()
    if FAILED in checks.values():
        return Answer({"status": FAILED, "checks": checks}, 503, {"Retry-After": str(RETRY_AFTER)})
    return Answer({"status": OK, "checks": checks})
