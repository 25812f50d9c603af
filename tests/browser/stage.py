"""A page without a server, to try the tab's scripts on: each answer is given by the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, Route

from polos.flower.assets import FOLDER
from polos.flower.page import _POLICY as POLICY

ROOT = "http://polos.test/below"
_SCRIPTS = ("polos.js", "polos-ask.js", "polos-actions.js")
_PAGE = """<!doctype html><html lang="en"><head>
<meta charset="utf-8"><title>Stage</title></head><body>
<div id="toast-container"></div><main id="main-content">{body}</main>
{scripts}</body></html>"""

# The status, the body and the headers of an answer; None: the connection breaks.
Answer = tuple[int, str, dict[str, str]] | None


class Stage:
    """One page, at ``/below/workflows``, and what it asks for.

    Attributes:
        body: the HTML of the page.
        fragment: gives the answer to each request for a part.
        api: gives the answer to each request of the HTTP API.
        requests: the method, the path below ``/api/polos/`` and the body of each of those.
        asked: how often a part was asked for.
    """

    def __init__(self, page: Page, body: str = "") -> None:
        self.body = body
        self.asked = 0
        self.fragment: Callable[[dict[str, str]], Answer] = lambda headers: (200, "", {})
        self.api: Callable[[str, str], Answer] = lambda method, path: (200, "{}", {})
        self.requests: list[tuple[str, str, Any]] = []
        self.headers: list[dict[str, str]] = []
        page.route("http://polos.test/**", self._answer)
        self._page = page

    def open(self, query: str = "") -> None:
        """Go to the page."""
        self._page.goto(f"{ROOT}/workflows{query}")

    def _answer(self, route: Route) -> None:
        address = urlsplit(route.request.url)
        if "/polos/static/" in address.path:
            return route.fulfill(path=FOLDER / address.path.rpartition("/")[2])
        if "/api/polos/" in address.path:
            return self._fulfill(route, self._of_api(route, address.path))
        if "part" in parse_qs(address.query):
            self.asked += 1
            return self._fulfill(route, self.fragment(route.request.headers))
        return self._fulfill(route, (200, self._html(), {}))

    def _of_api(self, route: Route, path: str) -> Answer:
        request, below = route.request, path.partition("/api/polos/")[2]
        sent = request.post_data
        self.requests.append((request.method, below, json.loads(sent) if sent else None))
        self.headers.append(request.headers)
        return self.api(request.method, below)

    def _html(self) -> str:
        address = f"{ROOT}/polos/static"
        scripts = "".join(f'<script src="{address}/{name}"></script>' for name in _SCRIPTS)
        return _PAGE.format(body=self.body, scripts=scripts)

    def _fulfill(self, route: Route, answer: Answer) -> None:
        if answer is None:
            return route.abort()
        status, body, headers = answer
        given = {"Content-Type": "text/html", "Content-Security-Policy": POLICY} | headers
        return route.fulfill(status=status, body=body, headers=given)
