"""FastAPI and Flask: their READMEs' commands, and the streams that they serve."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.examples.commands import commands
from tests.support.processes import ROOT, Program, until
from tests.support.servers import free_port

Start = Callable[..., Program]
pytestmark = pytest.mark.acceptance

SERVERS = {"fastapi_orders": "uvicorn", "flask_orders": "flask"}
STEPS = [("reserve", "completed"), ("charge", "completed"), ("packing", "waiting")]


class Site:
    """One of the examples: its worker and its server, started as its README says."""

    def __init__(self, program: Start, example: str, folder: Path) -> None:
        self._address = f"http://127.0.0.1:{(port := free_port())}"
        self._commands = commands(ROOT / "examples" / example / "README.md", {"8000": str(port)})
        self._server = SERVERS[example]
        self._start = lambda args, name: program(
            *args,
            cwd=ROOT / "examples" / example,
            env={
                "HOME": str(folder),
                "POLOS_HOME": str(folder / "polos"),
                "ORDERS_DATA": str(folder / "data"),
            },
            name=name,
        )

    def serve(self) -> None:
        """Start the server."""
        server = self._start(self._command(self._server), self._server)
        server.wait_for(self._answers, 60)

    def work(self) -> None:
        """Start a worker."""
        worker = self._start([*self._command("celery"), "-l", "INFO", "-c", "2"], "worker")
        worker.wait_for(" ready.", 60)

    def place(self, **order: Any) -> requests.Response:
        """Order something."""
        return requests.post(f"{self._address}/orders", json=order, timeout=30)

    def get(self, path: str, **options: Any) -> requests.Response:
        """Ask for something."""
        return requests.get(self._address + path, timeout=60, **options)

    def events(self, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events of a stream, as they come."""
        with self.get(path, stream=True) as answer:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            kind = ""
            for line in answer.iter_lines(decode_unicode=True):
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    yield kind, json.loads(value)

    def _command(self, word: str) -> list[str]:
        [found] = [
            args
            for text, args in self._commands.items()
            if word in text.split()[:2] and "pip" not in text
        ]
        return found

    def _answers(self) -> bool:
        try:
            return self.get("/orders/none").status_code == 404
        except requests.ConnectionError:
            return False


@pytest.fixture(params=list(SERVERS))
def site(request: pytest.FixtureRequest, program: Start, tmp_path: Path) -> Site:
    """The example, with a server that answers and no worker yet."""
    made = Site(program, request.param, tmp_path)
    made.serve()
    return made


def test_a_request_starts_a_workflow_and_its_progress_is_streamed(site: Site) -> None:
    assert site.place(item="keyboard", quantity=0).status_code == 422
    placed = site.place(item="keyboard", quantity=2)
    assert placed.status_code == 202, placed.text
    with ThreadPoolExecutor(4) as pool:
        # They listen before there is any worker; meanwhile the server answers others.
        listeners = [pool.submit(_heard, site, placed.json()["progress"]) for _ in range(3)]
        assert site.get(f"/orders/{placed.json()['id']}").json()["status"] == "queued"
        site.work()
        heard = [listener.result(120) for listener in listeners]
    for events in heard:
        _assert_told_as_it_went(events)
    late = _heard(site, placed.json()["progress"])
    assert [it for it in late if it[1] == "end"] != []
    _assert_failure_is_told(site)


def _heard(site: Site, path: str) -> list[tuple[float, str, dict[str, Any]]]:
    return [(time.monotonic(), kind, data) for kind, data in site.events(path)]


def _assert_told_as_it_went(events: list[tuple[float, str, dict[str, Any]]]) -> None:
    steps = [(data["key"], data["status"]) for _, kind, data in events if kind == "step"]
    assert [step for step in steps if step in STEPS] == STEPS
    assert steps[-1] == ("parcel", "completed")
    ended, kind, end = events[-1]
    assert (kind, end["status"], end["result"]["item"]) == ("end", "completed", "keyboard")
    # The wait of a second lies between: they were not told all at once.
    waiting = next(at for at, _, data in events if data.get("status") == "waiting")
    assert ended - waiting > 0.2


def _assert_failure_is_told(site: Site) -> None:
    placed = site.place(item="unicorn", quantity=1).json()
    events = _heard(site, placed["progress"])
    assert events[-1][2]["status"] == "failed"
    assert "there are no unicorns" in events[-1][2]["error"]
    told = [data["error"] for _, kind, data in events if kind == "step" and data["error"]]
    assert told, "nothing was said while it was tried again"
    assert until(lambda: site.get("/orders/none").status_code) == 404
