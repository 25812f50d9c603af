"""The tab under Flower's options, and while Flower is away."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from polos.model.states import Status
from tests.browser.conftest import Open
from tests.browser.site import Site
from tests.browser.watch import Watch, violations

PASSWORD = "ann:secret"


@pytest.fixture(scope="module")
def waiting(site: Site) -> str:
    """An execution that waits."""
    id_ = site.start("snoozer").id
    site.until(id_, Status.WAITING)
    return id_


def test_a_read_only_flower_shows_all_and_changes_nothing(
    site: Site, waiting: str, page: Page, watch: Watch
) -> None:
    url = site.flower("--read_only").url
    page.goto(f"{url}/workflows/execution/{waiting}")
    for name in ("Cancel", "Retry", "Fork"):
        button = page.locator("#head").get_by_role("button", name=re.compile(f"^{name}"))
        expect(button).to_have_attribute("aria-disabled", "true")
        button.click(force=True)
        expect(page.get_by_role("alert").last).to_contain_text("runs with --read_only")
    expect(page.locator("dialog")).to_have_count(0)
    assert violations(page) == []
    page.goto(f"{url}/workflows/start/greeter")
    start = page.get_by_role("button", name="Start…")
    expect(start).to_have_attribute("aria-disabled", "true")
    start.click(force=True)
    expect(page.get_by_role("alert").last).to_contain_text("runs with --read_only")
    expect(page.locator("dialog")).to_have_count(0)
    # Nor does it help to ask for it past the buttons.
    watch.expect("Failed to load|status 403")
    for path in (f"executions/{waiting}/cancel", "workflows/greeter/executions"):
        refused = page.evaluate(
            "(path) => polos.call(path, {}).catch((error) => error.status)", path
        )
        assert refused == 403
    assert site.client.get(waiting).status is Status.WAITING
    page.goto(f"{url}/workflows")
    expect(page.locator("tbody tr").first).to_be_visible()
    expect(page.locator("[data-polos-action]")).to_have_count(0)


def test_below_a_prefix_everything_is_below_it(site: Site, page: Page, watch: Watch) -> None:
    flower = site.flower(prefix="ops/flower")
    paths: set[str] = set()
    page.on("request", lambda request: paths.add(request.url))
    page.goto(f"{flower.url}/workflows")
    expect(page.locator(".polos-live-state")).to_have_text("Live")
    navigation = page.get_by_role("navigation", name="Workflows")
    for name in ("Overview", "Start"):
        navigation.get_by_role("link", name=name).click()
        expect(navigation.get_by_role("link", name=name)).to_have_attribute("aria-current", "page")
    page.get_by_role("link", name="snoozer").click()
    page.get_by_role("button", name="Start…").click()
    page.get_by_role("button", name="Start it").click()
    page.wait_for_url(re.compile("/ops/flower/workflows/execution/"))
    id_ = page.url.rpartition("/")[2]
    site.until(id_, Status.WAITING)
    page.locator("#head").get_by_role("button", name=re.compile("^Cancel")).click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page.locator("#head h1 .status")).to_have_text("cancelled", timeout=20_000)
    page.locator("#head").get_by_role("button", name=re.compile("^Fork")).click()
    page.get_by_role("button", name="Fork it").click()
    page.locator("#toast-container").get_by_role("link", name=re.compile("^snoozer")).click()
    expect(page.get_by_role("heading", name="snoozer")).to_be_visible()
    assert [it for it in paths if "/ops/flower/" not in it] == []


def test_behind_a_password_the_tab_is_as_without(site: Site, open_page: Open, waiting: str) -> None:
    url = site.flower(f"--basic_auth={PASSWORD}", password=PASSWORD).url
    assert httpx.get(f"{url}/workflows", timeout=30, trust_env=False).status_code == 401
    user, password = PASSWORD.split(":")
    page = open_page(http_credentials={"username": user, "password": password})
    page.goto(f"{url}/workflows/execution/{waiting}")
    expect(page.locator(".polos-live-state")).to_have_text("Live")
    page.locator("#head").get_by_role("button", name=re.compile("^Cancel")).click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page.locator("#head h1 .status")).to_have_text("cancelled", timeout=20_000)


def test_the_page_waits_for_a_flower_that_is_away(site: Site, page: Page, watch: Watch) -> None:
    watch.expect("failed: GET|Failed to load")
    flower = site.flower()
    page.goto(f"{flower.url}/workflows")
    expect(page.locator(".polos-live-state")).to_have_text("Live")
    flower.program.close(0)
    expect(page.locator(".polos-live-state")).to_contain_text("Not reachable", timeout=20_000)
    expect(page.locator("tbody tr").first).to_be_visible()
    flower.program.start()
    expect(page.locator(".polos-live-state")).to_have_text("Live", timeout=60_000)
