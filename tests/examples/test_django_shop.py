"""The Django shop: its README's commands, a browser's requests, and a worker that is killed."""

from __future__ import annotations

import html
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy.engine import make_url

from tests.examples.commands import commands
from tests.support.processes import ROOT, Program, until
from tests.support.servers import free_port

EXAMPLE = ROOT / "examples" / "django_shop"
README = EXAMPLE / "README.md"

Start = Callable[..., Program]
pytestmark = pytest.mark.acceptance


class Shop:
    """The project, whose commands are those of its README."""

    def __init__(self, program: Start, folder: Path, **env: str) -> None:
        self._program = program
        self.port = free_port()
        self._commands = commands(README, {"8000": str(self.port)})
        self.env = {
            "SHOP_DATA": str(folder / "data"),
            "HOME": str(folder),
            "DJANGO_SUPERUSER_USERNAME": "root",
            "DJANGO_SUPERUSER_EMAIL": "root@example.org",
            "DJANGO_SUPERUSER_PASSWORD": "secret",
            **env,
        }

    def start(self, command: str, *more: str) -> Program:
        """Start one of them, which begins with these words."""
        [found] = [args for text, args in self._commands.items() if text.startswith(command)]
        return self._program(*found, *more, cwd=EXAMPLE, env=self.env, name=command.split()[-1])

    def run(self, command: str, *more: str) -> str:
        """Run one of them to its end; what it said."""
        ran = self.start(command, *more)
        assert ran.wait(120) == 0, ran.tail()
        return ran.text()

    def worker(self) -> Program:
        """Start the worker."""
        worker = self.start("celery -A shop worker", "-l", "INFO", "-c", "1")
        worker.wait_for(" ready.", 60)
        return worker

    def browser(self) -> Browser:
        """Serve the pages, and open a browser."""
        server = self.start("python manage.py runserver", "--noreload")
        browser = Browser(f"http://127.0.0.1:{self.port}")
        server.wait_for(browser.answers, 60)
        return browser


class Browser:
    """Keeps cookies and fills in forms."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._session = requests.Session()

    def answers(self) -> bool:
        """Whether there is a server."""
        try:
            return self._session.get(f"{self._address}/", timeout=10).ok
        except requests.ConnectionError:
            return False

    def get(self, path: str) -> str:
        """A page's HTML."""
        answer = self._session.get(self._address + path, timeout=30)
        assert answer.ok, (answer.status_code, answer.text[:2000])
        return answer.text

    def post(self, path: str, **fields: Any) -> tuple[str, str]:
        """Send the form of a page; the path and the text of the page that follows."""
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(path))[0]
        answer = self._session.post(
            self._address + path, {"csrfmiddlewaretoken": token, **fields}, timeout=30
        )
        assert answer.ok, (answer.status_code, answer.text[:2000])
        return answer.url.removeprefix(self._address), answer.text


def seen(page: str) -> str:
    """A page's text."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", page)))


@pytest.fixture
def shop(program: Start, tmp_path: Path) -> Shop:
    """The project with its tables and an administrator."""
    made = Shop(program, tmp_path)
    assert "polos.0001_schema_0005... OK" in made.run("python manage.py migrate")
    made.run("python manage.py createsuperuser", "--noinput")
    return made


def test_an_order_survives_its_worker_and_is_seen_in_the_admin(shop: Shop) -> None:
    browser, worker = shop.browser(), shop.worker()
    keyboard = re.findall(r'<option value="(\d+)">Keyboard', browser.get("/"))[0]
    page, _ = browser.post("/", item=keyboard, quantity=3)
    until(lambda: "charge: completed" in browser.get(page), 60)
    worker.kill(signal.SIGKILL, group=True)
    worker.wait()
    assert "its workflow completed" not in browser.get(page)
    second = shop.worker()
    until(
        lambda: "its workflow completed" in browser.get(page),
        60,
        message=lambda: seen(browser.get(page)),
    )
    shown = seen(browser.get(page))
    assert "The order is shipped" in shown
    assert "3 x Keyboard: thank you!" in shown
    assert "refresh" not in browser.get(page)
    assert "WARNING/ForkPool" not in worker.text() + second.text()
    _assert_seen_in_the_admin(browser, "Keyboard")


def _assert_seen_in_the_admin(browser: Browser, item: str) -> None:
    browser.post("/admin/login/?next=/admin/", username="root", password="secret")
    listed = browser.get("/admin/polos/execution/")
    assert "fulfil_order" in seen(listed)
    [link] = set(re.findall(r'href="(/admin/polos/execution/[\w-]+/change/[^"]*)"', listed))
    page = seen(browser.get(html.unescape(link)))
    for shown in ("completed", "reserve", "packing", "parcel", "receipt", f"x {item}: thank you!"):
        assert shown in page, shown
    assert "97" in seen(browser.get("/admin/orders/item/"))


def test_an_order_of_too_many_fails_and_says_why(shop: Shop) -> None:
    browser, _ = shop.browser(), shop.worker()
    mouse = re.findall(r'<option value="(\d+)">Mouse', browser.get("/"))[0]
    page, _ = browser.post("/", item=mouse, quantity=3)
    until(lambda: "its workflow failed" in browser.get(page), 60)
    assert "reserve: failed, fewer than 3 in stock" in seen(browser.get(page))


def test_its_own_tests_pass(program: Start, tmp_path: Path) -> None:
    said = Shop(program, tmp_path).run("python manage.py test")
    assert "Ran 4 tests" in said
    assert "OK" in said


def test_on_postgresql_with_redis(
    program: Start, postgres_url: str, redis_server: Any, tmp_path: Path
) -> None:
    url = make_url(postgres_url)
    shop = Shop(
        program,
        tmp_path,
        POSTGRES_DB=str(url.database),
        POSTGRES_USER=str(url.username),
        POSTGRES_HOST=str(url.host),
        POSTGRES_PORT=str(url.port),
        BROKER_URL=redis_server.url,
    )
    shop.run("python manage.py migrate")
    browser, _ = shop.browser(), shop.worker()
    page, _ = browser.post("/", item="1", quantity=1)
    until(lambda: "its workflow completed" in browser.get(page), 60)
