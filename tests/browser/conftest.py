"""A real Chromium, and a site to look at."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import chromium
from tests.browser.site import Flower, Site, opened
from tests.browser.watch import Watch
from tests.support.processes import ROOT
from tests.support.servers import PostgresServer, RedisServer

Open = Callable[..., Page]

SCREENSHOTS = Path(os.environ.get("SCREENSHOTS") or ROOT / ".screenshots")
_MILLISECONDS = 20_000
# Else five seconds, whatever the windows' own patience is.
expect.set_options(timeout=_MILLISECONDS)
_open_sites: list[Site] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the end of the programs' logs with a failed test."""
    report = yield
    if report.failed:
        for site in _open_sites:
            for program in site.programs[-3:]:
                report.sections.append((f"{program.name} ({program.log})", program.tail()))
    return report


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, _redis: RedisServer, _postgres: PostgresServer
) -> Iterator[Site]:
    """A site with a worker; a module's tests share it."""
    with opened(tmp_path_factory.mktemp("site"), _redis, _postgres) as made:
        _open_sites.append(made)
        made.worker()
        yield made
        _open_sites.remove(made)


@pytest.fixture(scope="module")
def flower(site: Site) -> Flower:
    """Flower without any options, on the site."""
    return site.flower()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For a module only: tests of others run loops of their own in this thread."""
    with chromium() as started:
        yield started


@pytest.fixture
def watches() -> list[Watch]:
    """What watches the pages of a test."""
    return []


@pytest.fixture
def open_page(browser: Browser, watches: list[Watch]) -> Iterator[Open]:
    """Open a window: ``open_page(color_scheme="dark")``; trouble in it fails the test."""
    contexts = []

    def new(**options: object) -> Page:
        given = {
            "viewport": {"width": 1280, "height": 800},
            "locale": "en-GB",
            "timezone_id": "UTC",
        } | options
        context = browser.new_context(**given)
        context.set_default_timeout(_MILLISECONDS)
        contexts.append(context)
        watches.append(Watch(context))
        return context.new_page()

    yield new
    try:
        for watch in watches:
            watch.check()
    finally:
        for context in contexts:
            context.close()


@pytest.fixture
def page(open_page: Open) -> Page:
    """A window, light, 1280 wide."""
    return open_page()


@pytest.fixture
def watch(page: Page, watches: list[Watch]) -> Watch:
    """What watches ``page``."""
    return watches[0]


@pytest.fixture
def photograph(request: pytest.FixtureRequest) -> Callable[..., Path]:
    """Keep a picture of a page as a file: ``photograph(page, "list-dark")``."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)

    def take(page: Page, name: str) -> Path:
        path = SCREENSHOTS / f"{re.sub(r'[^a-z0-9-]+', '-', name)}.png"
        page.screenshot(path=path, animations="disabled", caret="hide")
        return path

    return take
