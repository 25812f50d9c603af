"""Flower with the tab answers as Flower without it does, whatever options it is given."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

import httpx
import pytest
from flower import urls
from tornado.routing import URLSpec

from tests.acceptance.flowers import (
    BARE,
    OAUTH,
    Flower,
    Flowers,
    addresses,
    has_tab,
    ready,
    seen,
    signed_in,
)


def own_paths() -> list[str]:
    """A path for each of Flower's own pages and answers."""
    found = []
    for handler in urls.handlers:
        pattern = handler.regex.pattern if isinstance(handler, URLSpec) else handler[0]
        module = (handler.handler_class if isinstance(handler, URLSpec) else handler[1]).__module__
        if not module.startswith("polos.") and pattern.startswith("/"):
            found.append(re.sub(r"\([^)]*\)", "unknown", pattern).rstrip("$").rstrip("?"))
    return [*found, "/no/such/page", "/static/css/flower.css", "/workers?json=1"]


def same(plain: Flower, tabbed: Flower, path: str, method: str = "GET") -> str:
    """Compare what both answer; gives the one of Flower with Polos."""
    answers = [it.client.request(method, f"{it.base}{path}") for it in (plain, tabbed)]
    before, after = (seen(it, it.url.port or 0) for it in answers)
    if path == "/metrics":
        # In no fixed order; and Polos adds its own.
        before, after = ((*it[:2], sorted(set(it[2]))) for it in (before, after))
        after = (*after[:2], [line for line in after[2] if "polos_" not in line])
    difference = [line for line in difflib.ndiff(before[2], after[2]) if line[0] != " "]
    assert after[:2] == before[:2], (method, path)
    assert not difference, (method, path)
    return answers[1].text


# -- all of Flower's own, with and without -----------------------------------------------

OPTIONS: dict[str, tuple[tuple[str, ...], Mapping[str, object]]] = {
    "none": ((), {}),
    "a prefix": (("--url_prefix=/tools/flower",), {}),
    "a password": (("--basic_auth=ada:pw",), {"auth": ("ada", "pw")}),
    "a login": (OAUTH, {"headers": signed_in("ada@example.com")}),
    "nothing may be changed": (("--read_only", "--basic_auth=a:b"), {"auth": ("a", "b")}),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_its_own_pages_and_answers_are_the_same(flowers: Flowers, name: str) -> None:
    options, given = OPTIONS[name]
    plain = flowers(*options, change="without_polos", **given)
    tabbed = flowers(*options, **given)
    ready(plain, tabbed)
    tabs = 0
    for path in own_paths():
        tabs += has_tab(same(plain, tabbed, path))
        same(plain, tabbed, path, "POST")
    same(plain, tabbed, "/tasks", "OPTIONS")
    assert tabs > 3
    page = tabbed.get("/workflows")
    assert page.status_code == 200
    assert plain.get("/workflows").status_code == 404
    for address in addresses(page.text):
        assert tabbed.client.get(httpx.URL(page.url).join(address)).status_code == 200, address
    # Whoever Flower does not let in is let in by none of our pages.
    with httpx.Client(trust_env=False) as stranger:
        tasks, ours = (stranger.get(f"{tabbed.base}{path}") for path in ("/tasks", "/workflows"))
        assert ours.status_code == tasks.status_code


def test_an_app_without_polos_has_no_tab_and_no_warning(flowers: Flowers) -> None:
    plain = flowers(app=BARE, change="without_polos")
    tabbed = flowers(app=BARE)
    ready(plain, tabbed)
    for path in ("/workers", "/tasks", "/workflows", "/workflows/overview"):
        assert not has_tab(same(plain, tabbed, path))
    assert tabbed.get("/api/polos/health").status_code == 404
    assert "olos" not in tabbed.program.text()
