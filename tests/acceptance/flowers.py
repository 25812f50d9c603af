"""Real ``celery flower`` processes, and what they answer."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx
from tornado.web import create_signed_value

from tests.support.processes import Program
from tests.support.servers import HOST, free_port

PROJECT = "tests.acceptance.command_proj"
BARE = f"{PROJECT}:bare"
LATE = f"{PROJECT}:late"
COOKIE_SECRET = "of-this-test"
OAUTH = (
    "--auth=.*@example.com",
    "--auth_provider=tests.acceptance.logins.KnownUser",
    "--oauth2_key=key",
    "--oauth2_secret=secret",
    "--oauth2_redirect_uri=http://localhost/login",
    f"--cookie_secret={COOKIE_SECRET}",
)
_START_SECONDS = 90.0


@dataclass
class Flower:
    """A running one.

    Attributes:
        base: its address, with its prefix, without a slash at the end.
        client: asks it; follows no redirects.
    """

    base: str
    client: httpx.Client
    program: Program

    def get(self, path: str, **options: Any) -> httpx.Response:
        """What it answers to a path below its prefix."""
        return self.client.get(f"{self.base}{path}", **options)

    def answers(self) -> bool:
        """Whether it answers anything at all."""
        try:
            self.get("/healthcheck")
        except httpx.TransportError:
            return False
        return True


class Flowers:
    """Starts Flowers that end together."""

    def __init__(self, folder: Path, env: Mapping[str, str | None]) -> None:
        self._folder = folder
        self._env = dict(env)
        self._opened = ExitStack()
        self._count = 0

    def __call__(
        self,
        *options: str,
        app: str = PROJECT,
        change: str = "",
        env: Mapping[str, str | None] | None = None,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Flower:
        """Start one; ``ready`` waits for it.

        Args:
            options: of ``celery flower``.
            app: as ``celery -A`` takes it.
            change: what is changed before it starts; a name of ``celery_program``.
            env: more of its environment.
            auth: user and password that are sent with each request.
            headers: others that are.
        """
        self._count += 1
        port = free_port()
        module = ["tests.acceptance.celery_program", change] if change else ["celery"]
        command = [sys.executable, "-m", *module, "-A", app, "flower", f"--address={HOST}"]
        program = Program(
            [*command, f"--port={port}", *options],
            log=self._folder / f"flower{self._count}.log",
            name=f"flower{self._count}",
            cwd=self._folder,
            env=self._env | dict(env or {}),
        )
        self._opened.callback(_end, program)
        client = self._opened.enter_context(httpx.Client(auth=auth, timeout=60, trust_env=False))
        # At each request: a jar would lose a cookie at the first answer that takes it away.
        client.event_hooks = {"request": [lambda request: request.headers.update(headers or {})]}
        prefix = next((it.partition("=")[2] for it in options if it.startswith("--url_prefix")), "")
        base = f"http://{HOST}:{port}{prefix and '/'}{prefix.strip('/')}"
        return Flower(base, client, program.start())

    def close(self) -> None:
        """End them."""
        self._opened.close()


def _end(program: Program) -> None:
    # At once: it has nothing to finish.
    program.kill(signal.SIGKILL, group=True)
    program.close()


def ready(*flowers: Flower) -> None:
    """Wait until they answer."""
    for flower in flowers:
        flower.program.wait_for(flower.answers, _START_SECONDS)


_TAB = re.compile(r"\s*<li class=\"nav-item\">\s*<a [^>]*href=\"[^\"]*/workflows\".*?</li>", re.S)
_CHANGING = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\d+(\.\d+)?(e[+-]?\d+)?"), "0"),
)
_HEADERS_THAT_CHANGE = {"date", "etag", "content-length", "set-cookie", "last-modified"}


def has_tab(page: str) -> bool:
    """Whether the navigation of a page has the tab, once."""
    found = _TAB.findall(page)
    assert len(found) < 2
    return bool(found)


def seen(answer: httpx.Response, port: int) -> tuple[int, Mapping[str, str], Sequence[str]]:
    """All of an answer that is the same each time, without the tab: status, headers, lines."""
    headers = {k: v for k, v in answer.headers.items() if k not in _HEADERS_THAT_CHANGE}
    text = _TAB.sub("", answer.text).replace(f":{port}", ":PORT")
    for pattern, name in _CHANGING:
        text = pattern.sub(name, text)
        headers = {k: pattern.sub(name, v) for k, v in headers.items()}
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    headers["cookies"] = ",".join(sorted(answer.cookies))
    return answer.status_code, headers, lines


def addresses(page: str) -> set[str]:
    """All that a page needs or leads to, here."""
    found = set(re.findall(r"(?:href|src)=\"([^\"]+)\"", page))
    return {unescape(it) for it in found if not it.startswith(("#", "https://"))}


def signed_in(name: str) -> dict[str, str]:
    """The cookie of somebody whom the provider of logins has let in."""
    value = create_signed_value(COOKIE_SECRET, "user", name).decode()
    return {"Cookie": f"user={value}"}
