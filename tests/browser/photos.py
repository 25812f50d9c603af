"""Pictures of the tab for the docs: ``make screenshots``."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page

from polos.model.states import Status
from tests.browser.chromium import chromium
from tests.browser.site import Site, opened
from tests.support.processes import ROOT
from tests.support.servers import PostgresServer, RedisServer

FOLDER = ROOT / "docs" / "screenshots"
_SIZE = {"width": 1200, "height": 700}


def main() -> None:
    """Let a shop work for a moment, and take its pictures, light and dark."""
    FOLDER.mkdir(exist_ok=True)
    with (
        RedisServer() as redis,
        PostgresServer() as postgres,
        tempfile.TemporaryDirectory() as folder,
        opened(Path(folder), redis, postgres) as site,
        chromium() as browser,
    ):
        site.worker()
        flower = site.flower()
        id_ = _work(site)
        views: dict[str, tuple[str, Callable[[Page], None]]] = {
            "list": ("/workflows", _count),
            "execution": (f"/workflows/execution/{id_}", _leave),
            "overview": ("/workflows/overview", _leave),
            "start": ("/workflows/start/order_processor", _ask),
        }
        for name, (path, prepare) in views.items():
            for scheme in ("light", "dark"):
                _take(browser, f"{flower.url}{path}", prepare, f"{name}-{scheme}", scheme)


def _work(site: Site) -> str:
    site.start("toiler")
    site.start("payer", {"order": "A-1006"}, tags=("eu",))
    site.start("family", session_id="s-7")
    for number in range(4):
        order = f"A-{1001 + number}"
        id_ = site.start("checkout", {"order": order}, tags=("vip",) if number == 2 else ()).id
        site.ended("greeter", {"name": order})
    site.until(id_, Status.COMPLETED)
    return id_


def _take(
    browser: Browser, url: str, prepare: Callable[[Page], None], name: str, scheme: str
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport=_SIZE, locale="en-GB")
    page = context.new_page()
    page.goto(url, wait_until="networkidle")
    page.locator("main table, main form, main .chart").first.wait_for()
    prepare(page)
    page.screenshot(path=FOLDER / f"{name}.png", animations="disabled", caret="hide")
    context.close()


def _count(page: Page) -> None:
    completed = page.locator(".polos-chip.polos-completed strong")
    completed.filter(has_not_text=re.compile("^0$")).wait_for()


def _leave(page: Page) -> None:
    """It is shown as it is."""


def _ask(page: Page) -> None:
    page.get_by_label("order_id").fill("A-1007")
    page.get_by_label("street").fill("Main Street 7")
    page.get_by_role("button", name="Start…").click()


if __name__ == "__main__":
    main()
