"""One event loop on a thread of its own, which all clients of a process share.

So a client can be used from code without a loop, from several loops and from several threads, and
all of them share the connections.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, TypeVar

import httpx

from polos.client.remote.address import Address

T = TypeVar("T")

_EXIT_SECONDS = 1.0
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=5.0)
# Seconds; whoever asks says how long he waits for an answer.
_TIMEOUT = httpx.Timeout(30.0, connect=5.0)


class Background:
    """The loop, and the connections that are used on it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clients: dict[str, httpx.AsyncClient] = {}
        self._users: dict[str, int] = {}
        self._lock = threading.Lock()
        self._kept: list[Any] = []

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def soon(self, call: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop."""
        self.loop.call_soon_threadsafe(call, *args)

    def tell(self, call: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop, if there is one; at a process's end none can be begun."""
        with self._lock:
            loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(call, *args)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, which is begun at its first use."""
        with self._lock:
            if self._loop is None:
                self._loop = _started_loop()
            return self._loop

    def http(self, address: Address) -> httpx.AsyncClient:
        """The connections to a server; to be called on the loop."""
        found = self._clients.get(address.url)
        if found is None:
            found = self._clients[address.url] = httpx.AsyncClient(
                limits=_LIMITS,
                timeout=_TIMEOUT,
                mounts=_without_proxy(address),
                # All who speak to this server share them, each with a key of his own.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                # To read all certificates takes long, and without TLS nobody asks for them.
                verify=address.url.startswith("https:"),
            )
        return found

    def open(self, address: Address) -> None:
        """Somebody begins to use a server."""
        with self._lock:
            self._users[address.url] = self._users.get(address.url, 0) + 1

    def close(self, address: Address) -> None:
        """Somebody uses a server no more; its connections are closed where nobody does."""
        with self._lock:
            left = self._users[address.url] = max(0, self._users.get(address.url, 0) - 1)
        if not left:
            self.tell(self._let_go, address.url)

    def end(self) -> None:
        """End the loop in an orderly way; the next use begins another one."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            with contextlib.suppress(Exception):
                asyncio.run_coroutine_threadsafe(self._end(loop), loop).result(_EXIT_SECONDS)

    def begin_after_fork(self) -> None:
        """Leave the parent's loop alone: what it watches, both processes have."""
        self._kept += [self._loop, self._clients]
        self._loop, self._clients, self._users = None, {}, {}
        self._lock = threading.Lock()

    def _let_go(self, url: str) -> None:
        client = None if self._users.get(url) else self._clients.pop(url, None)
        if client is not None:
            self._closing = asyncio.ensure_future(client.aclose())

    async def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        for task in asyncio.all_tasks(loop) - {asyncio.current_task()}:
            task.cancel()
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()
        loop.call_soon(loop.stop)


def _without_proxy(address: Address) -> dict[str, None]:
    """To this host there is a way without the proxies of the environment."""
    host = httpx.URL(address.url).host
    shown = f"[{host}]" if ":" in host else host
    return {f"all://{shown}": None} if address.is_loopback else {}


def _started_loop() -> asyncio.AbstractEventLoop:
    """A loop that runs on a new thread; under gevent on a native one."""
    monkey: Any = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, name="polos-http", daemon=True).start()
        return loop
    # Of the standard library: gevent's locks are those of one thread's greenlets.
    running = monkey.get_original("_thread", "allocate_lock")()
    running.acquire()
    made: list[asyncio.AbstractEventLoop] = []

    def run() -> None:
        # Made on its thread: there its sockets are watched.
        own = asyncio.new_event_loop()
        made.append(own)
        own.call_soon(running.release)
        own.run_forever()

    monkey.get_original("_thread", "start_new_thread")(run, ())
    running.acquire()
    return made[0]


background = Background()
os.register_at_fork(after_in_child=background.begin_after_fork)
atexit.register(background.end)
