"""Flower with the HTTP API, serving from a thread of the test's process."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import httpx
from celery import Celery
from flower import urls
from flower.app import Flower
from flower.options import default_options
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets

from polos.flower.install import install
from tests.support.servers import HOST

_installed = threading.Lock()


class ApiServer:
    """Flower's own HTTP server for an app, on a free port.

    Args:
        app: the Celery app that Polos is bound to.
        options: Flower's, beside their defaults.
    """

    def __init__(self, app: Celery, **options: Any) -> None:
        self._app = app
        self._options = options
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="api-server", daemon=True)
        self.port = 0
        self.loop: asyncio.AbstractEventLoop | None = None
        self.flower: Any = None

    @property
    def base(self) -> str:
        """The address of the API."""
        prefix = (self._options.get("url_prefix") or "").strip("/")
        return f"http://{HOST}:{self.port}{'/' if prefix else ''}{prefix}/api/polos"

    def client(self, **options: Any) -> httpx.Client:
        """A client of the API; by default one whose changes are let through."""
        headers = {"Polos-Request": "1", **options.pop("headers", {})}
        return httpx.Client(
            base_url=self.base, headers=headers, timeout=30, trust_env=False, **options
        )

    def start(self) -> Self:
        """Serve; returns when it answers."""
        add_the_tab_once()
        self._thread.start()
        assert self._ready.wait(30), "the server did not start"
        return self

    def close(self) -> None:
        """Stop serving."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(30)

    def _run(self) -> None:
        loop = self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        loop.run_until_complete(self._serve())
        self._ready.set()
        loop.run_forever()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()

    async def _serve(self) -> None:
        options = SimpleNamespace(**{**default_options.as_dict(), **self._options})
        settings = {**urls.settings, "debug": False}
        self.flower = Flower(capp=self._app, options=options, io_loop=IOLoop.current(), **settings)
        sockets = bind_sockets(0, HOST)
        self.port = sockets[0].getsockname()[1]
        HTTPServer(self.flower).add_sockets(sockets)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def add_the_tab_once() -> None:
    """Flower's list of handlers is the process's."""
    with _installed:
        if "template_loader" not in urls.settings:
            assert install()
