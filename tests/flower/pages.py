"""Flower with the tab in a thread of this process, on a database of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from celery import Celery
from flower.app import Flower
from flower.urls import settings
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.options import options

from polos import Polos
from polos.binding.of_app import bound_of
from polos.flower.install import install
from polos.store.sql_store import SqlStore

HOST = "127.0.0.1"


class Site:
    """A running Flower.

    Attributes:
        store: the one that it shows.
        flower: the Tornado application.
        url: of its first page, without a slash at the end.
    """

    def __init__(self, app: Celery) -> None:
        bound = bound_of(app)
        assert bound is not None
        self.app = app
        self.store: SqlStore = bound.store
        self.url = ""
        self.flower: Any = None

    def get(self, path: str, **given: Any) -> httpx.Response:
        """Ask for a page, and don't go where it leads."""
        return httpx.get(f"{self.url}{path}", timeout=60, trust_env=False, **given)

    def page(self, execution_id: str, **query: str) -> httpx.Response:
        """The page of an execution."""
        return self.get(f"/workflows/execution/{execution_id}", params=query)


@contextmanager
def opened(database_url: str, **conf: Any) -> Iterator[Site]:
    """Run it while the block lasts."""
    assert install()
    app = Celery("shown", broker="memory://", set_as_current=False)
    given = {"database_url": database_url, "auto_migrate": True} | conf
    app.conf.update({f"polos_{name}": value for name, value in given.items()})
    polos = Polos(app)
    site = Site(app)
    ready, loops = threading.Event(), []

    def run() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        loop = IOLoop.current()
        site.flower = Flower(capp=app, options=options, io_loop=loop, **settings)
        sockets = bind_sockets(0, address=HOST)
        server = HTTPServer(site.flower)
        server.add_sockets(sockets)
        site.url = f"http://{HOST}:{sockets[0].getsockname()[1]}"
        loops.append(loop)
        loop.add_callback(ready.set)
        loop.start()
        server.stop()
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield site
    finally:
        loops[0].add_callback(loops[0].stop)
        thread.join(30)
        # Nor is it the client of other tests' calls.
        polos.close()
