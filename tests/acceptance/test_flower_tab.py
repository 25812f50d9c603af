"""How the tab gets into Flower, in front of which it works, and what becomes of it in trouble."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest

from polos.store.database import Database
from polos.store.migrate import upgrade
from polos.store.sql_store import SqlStore
from tests.acceptance.flowers import (
    LATE,
    OAUTH,
    Flower,
    Flowers,
    addresses,
    has_tab,
    ready,
    signed_in,
)
from tests.acceptance.proxies import proxy
from tests.store.scenes import new
from tests.support.servers import PostgresServer

CONFIG = "from polos.flower.install import install\ninstall()\n"
PASSWORD = ("--basic_auth=ada:pw",)
ADA = ("ada", "pw")


# -- a Flower whose insides differ -------------------------------------------------------

DIFFERENCES = {
    "no_handlers": "flower.urls.handlers is no list with its pages",
    "no_place": "navbar.html has no place for the tab",
    "no_user": "flower.views.BaseHandler has no get_current_user of its own",
    "next_major": "its version is 3.0.0",
}


def test_where_its_insides_differ_flower_starts_without_the_tab_and_says_why(
    flowers: Flowers,
) -> None:
    changed = {change: flowers(change=change) for change in DIFFERENCES}
    ready(*changed.values())
    for change, flower in changed.items():
        said = flower.program.text()
        assert said.count("starts without the Workflows tab of Polos") == 1, said
        assert DIFFERENCES[change] in said, said
        assert "Traceback" not in said
        assert flower.get("/workflows").status_code == 404
        assert flower.get("/polos/static/polos.css").status_code == 404
        page = flower.get("/tasks")
        assert page.status_code == {"no_handlers": 404, "no_user": 302}.get(change, 200)
        assert not has_tab(page.text)


# -- who puts it there -------------------------------------------------------------------


def test_the_configuration_file_of_flower_puts_it_there_too_and_never_twice(
    flowers: Flowers, tmp_path: Path
) -> None:
    config = tmp_path / "flowerconfig.py"
    config.write_text(CONFIG)
    only = flowers(f"--conf={config}", change="without_polos")
    both = flowers(f"--conf={config}", "--url_prefix=p")
    ready(only, both)
    for flower in (only, both):
        page = flower.get("/workflows")
        assert page.status_code == 200
        assert has_tab(page.text)
        assert has_tab(flower.get("/tasks").text)
        assert flower.get("/polos/static/polos.css").status_code == 200
        assert "olos" not in flower.program.text().partition("Registered tasks")[0]


def test_an_app_that_gets_polos_with_its_imports_has_the_tab(flowers: Flowers) -> None:
    flower = flowers(app=LATE)
    ready(flower)
    assert has_tab(flower.get("/tasks").text)
    page = flower.get("/workflows")
    assert page.status_code == 200
    # What has not changed is not sent again.
    part = flower.get("/workflows?part=rows")
    known = {"If-None-Match": part.headers["ETag"]}
    again = flower.get("/workflows?part=rows", headers=known)
    assert (again.status_code, again.text) == (304, "")


def test_a_full_page_with_all_that_is_ours_is_under_100_kb(
    flowers: Flowers, tmp_path: Path
) -> None:
    flower = flowers()
    with closing(Database(f"sqlite:///{tmp_path / 'polos.db'}")) as database:
        upgrade(database)
        store = SqlStore(database)
        for number in range(60):
            tags = ("customer-4711", f"tag-{number}") if number % 2 else ()
            store.start(new(str(uuid4()), workflow_id="order_processor", tags=tags))
    ready(flower)
    for path in ("/workflows", "/workflows/overview"):
        page = flower.get(path)
        ours = [it for it in addresses(page.text) if it.startswith("/polos/static/")]
        assert len(ours) > 2
        assert sum(len(it.content) for it in (page, *map(flower.get, ours))) < 100_000


# -- logins ------------------------------------------------------------------------------


def test_a_login_leads_there_and_back(flowers: Flowers) -> None:
    flower = flowers(*OAUTH)
    ready(flower)
    for path in ("/workflows?status=failed", "/workflows"):
        sent = flower.get(path)
        assert sent.status_code == 302
        login = urlsplit(sent.headers["Location"])
        assert (login.path, parse_qs(login.query)) == ("/login", {"next": [path]})
    provider = flower.get(sent.headers["Location"]).headers["Location"]
    assert provider == "https://login.example/?next=/workflows"
    back = flower.get("/login?code=1&next=/workflows")
    assert back.headers["Location"] == "/workflows"
    known = {"Cookie": f"user={back.cookies['user']}"}
    page = flower.get(back.headers["Location"], headers=known)
    assert page.status_code == 200
    assert "Log out ada@example.com" in page.text
    for stranger in (signed_in("ada@else.example"), {"Cookie": "user=ada@example.com"}):
        assert flower.get("/workflows", headers=stranger).status_code == 302


def test_a_password_is_asked_for(flowers: Flowers) -> None:
    flower = flowers(*PASSWORD)
    ready(flower)
    refused = [flower.get("/workflows"), flower.get("/workflows", auth=("ada", "no"))]
    for answer in refused:
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert flower.get("/workflows", auth=ADA).status_code == 200


# -- behind a proxy ----------------------------------------------------------------------


def all_is_there(site: str, path: str) -> None:
    """A page, and all that it needs and leads to."""
    with httpx.Client(auth=ADA, timeout=60, trust_env=False) as client:
        page = client.get(f"{site}{path}/workflows")
        assert page.status_code == 200
        found = addresses(page.text)
        assert len(found) > 12
        for address in found:
            there = client.get(page.url.join(address))
            assert there.status_code == 200, address


@pytest.mark.parametrize("path", ["/tools/flower", "/flower"])
def test_a_proxy_may_put_it_below_a_path(flowers: Flowers, path: str) -> None:
    flower = flowers(*PASSWORD, f"--url_prefix={path}", "--xheaders", auth=ADA)
    ready(flower)
    with proxy(flower.base.removesuffix(path), path) as site:
        all_is_there(site, path)


def test_a_proxy_that_takes_the_path_away_is_none_for_flower(flowers: Flowers) -> None:
    """Flower's own addresses lead past such a proxy; ours are where Flower's are."""
    flower = flowers(*PASSWORD, auth=ADA)
    ready(flower)
    with (
        proxy(flower.base, "/flower", strip=True) as site,
        httpx.Client(auth=ADA, timeout=60, trust_env=False) as client,
    ):
        page = client.get(f"{site}/flower/workflows")
        assert page.status_code == 200
        assert {"/workers", "/workflows"} <= addresses(page.text)


# -- a store in trouble ------------------------------------------------------------------


def rest_works(flower: Flower) -> None:
    """Flower's own pages come, with the tab."""
    for path in ("/workers", "/tasks"):
        page = flower.get(path)
        assert page.status_code == 200
        assert has_tab(page.text)


def test_without_a_schema_the_pages_say_what_to_do_and_work_once_it_is_done(
    flowers: Flowers, postgres_server: PostgresServer
) -> None:
    with postgres_server.fresh_database() as url:
        flower = flowers(env={"PROJ_DATABASE": url, "PROJ_MIGRATE": "0"})
        ready(flower)
        page = flower.get("/workflows")
        assert page.status_code == 503
        assert "has no schema of Polos" in page.text
        assert "polos migrate" in page.text
        part = flower.get("/workflows?part=rows")
        assert part.status_code == 503
        assert "polos migrate" in part.text
        assert "<html" not in part.text
        rest_works(flower)
        with closing(Database(url)) as database:
            upgrade(database)
        assert flower.get("/workflows").status_code == 200
        assert "Traceback" not in flower.program.text()


def test_while_the_store_is_away_the_pages_say_so_and_come_back_with_it(
    flowers: Flowers, postgres_server: PostgresServer
) -> None:
    with postgres_server.fresh_database() as url:
        flower = flowers(env={"PROJ_DATABASE": url})
        ready(flower)
        assert flower.get("/workflows").status_code == 200
        postgres_server.stop("fast")
        page = flower.get("/workflows")
        assert page.status_code == 503
        assert "can&#x27;t be reached" in page.text or "can&#39;t be reached" in page.text
        rest_works(flower)
        postgres_server.start()
        assert flower.get("/workflows").status_code == 200
        assert "Traceback" not in flower.program.text()
