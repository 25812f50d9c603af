"""Sees what goes wrong in a page while a test looks at something else."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response

_CANARY = "pwned"
_OURS = "#main-content"
# Said where a policy is broken, also by what no console message is made of.
_PROBE = """
window.__violations = [];
addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy ${event.violatedDirective}: ${event.blockedURI}`);
});
"""


class Watch:
    """All that no page may do: errors, failed requests, requests to elsewhere, broken policies.

    Args:
        context: of the browser; each of its pages is watched.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.trouble: list[str] = []
        self._origins: set[str] = set()
        self._expected: list[str] = []
        context.add_init_script(_PROBE)
        context.on("console", self._console)
        context.on("weberror", lambda error: self._note(f"uncaught: {error.error}"))
        context.on("requestfailed", self._failed)
        context.on("response", self._response)
        context.on("request", self._request)

    def expect(self, pattern: str) -> None:
        """This trouble is what the test is about."""
        self._expected.append(pattern)

    def check(self) -> None:
        """Fail for what was seen so far."""
        unexpected = [
            text for text in self.trouble if not any(re.search(it, text) for it in self._expected)
        ]
        assert not unexpected, "the page is in trouble:\n" + "\n".join(unexpected)
        assert len(self._origins) <= 1, f"loaded from elsewhere: {self._origins}"

    def _note(self, text: str) -> None:
        self.trouble.append(text)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._note(f"console: {message.text} ({message.location.get('url')})")

    def _failed(self, request: Request) -> None:
        # What is asked when one leaves the page, or asks anew, is given up and no failure.
        if request.failure != "net::ERR_ABORTED":
            self._note(f"failed: {request.method} {request.url}: {request.failure}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self._note(f"status {response.status}: {response.request.method} {response.url}")

    def _request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss"):
            self._origins.add(address.netloc)


class Scales:
    """Weighs what a page makes the browser load, as it comes over the network.

    Args:
        page: before it goes anywhere.
    """

    def __init__(self, page: Page) -> None:
        self._addresses: dict[str, str] = {}
        self._sizes: dict[str, int] = {}
        self._session = page.context.new_cdp_session(page)
        self._session.send("Network.enable")
        self._session.on("Network.responseReceived", self._received)
        self._session.on("Network.loadingFinished", self._finished)

    def ours(self) -> int:
        """The bytes of all that is not Flower's own scripts and styles."""
        return sum(self._ours().values())

    def __repr__(self) -> str:
        return f"{self._ours()}"

    def _ours(self) -> dict[str, int]:
        loaded = {self._addresses[id_]: size for id_, size in self._sizes.items()}
        return {
            address: size
            for address, size in loaded.items()
            if "/static/" not in address or "/polos/static/" in address
        }

    def _received(self, event: dict[str, Any]) -> None:
        self._addresses[event["requestId"]] = event["response"]["url"]

    def _finished(self, event: dict[str, Any]) -> None:
        self._sizes[event["requestId"]] = int(event["encodedDataLength"])


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with our part of a page, serious or worse, with where."""
    page.evaluate(AXE_SCRIPT)
    where = [[_OURS], ["#toast-container"]]
    where += [["dialog"]] if page.locator("dialog").count() else []
    found = page.evaluate(
        "(where) => axe.run({include: where}, {resultTypes: ['violations']})", where
    )
    return [
        f"{it['id']} ({it['impact']}): {it['help']}: {node['html'][:200]}\n{node['failureSummary']}"
        for it in found["violations"]
        if it["impact"] in ("serious", "critical")
        for node in it["nodes"]
    ]


def overflow(page: Page) -> int:
    """By how many pixels a page is wider than its window."""
    return int(
        page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    )


def is_pwned(page: Page) -> bool:
    """Whether a value that was shown has run as a script."""
    return bool(page.evaluate(f"'__{_CANARY}' in window"))


HOSTILE = (
    f"<script>window.__{_CANARY}=1</script><img src=x onerror='window.__{_CANARY}=1'>"
    f"\"'><svg onload=window.__{_CANARY}=1></textarea></script></template>"
    f"{{{{ 7*7 }}}}${{7*7}}javascript:window.__{_CANARY}=1"
)
