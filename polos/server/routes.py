"""Which request of the HTTP API is answered by what; below Flower's ``url_prefix``."""

from __future__ import annotations

from typing import Any

from tornado.web import RequestHandler, url


class Health(RequestHandler):
    """Whether the server lives."""

    def get(self) -> None:
        """Say so."""
        self.write({"status": "ok"})


ROUTES: list[Any] = [url(r"/api/polos/health", Health), url(r"/api/polos/ready", Health)]
