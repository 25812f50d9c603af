"""``polos server start``, ``stop`` and ``status``, with real servers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from polos.engine.owner import process
from tests.acceptance.sites import POLOS, Said, Site
from tests.support.processes import until
from tests.support.servers import HOST, RedisServer, free_port


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A folder of somebody who has no broker and no database."""
    made = Site(tmp_path)
    yield made
    made.close()


def test_it_is_started_once_and_found_from_a_folder_below(site: Site) -> None:
    site("server", "status", code=1)
    assert list(site.folder.iterdir()) == [], "to ask makes no folder"
    below = site.folder / "a" / "b"
    below.mkdir(parents=True)
    said, log = site.start("--", "--log_file_max_size=300"), site.folder / ".polos/server.log"
    assert f"a server runs already at {site.url}" in site.start("--json", code=1).data["error"]
    found = site("server", "status", "--json", cwd=below).data
    assert found["running"] and found["healthy"] and found["ready"], found
    assert (found["url"], found["log"]) == (site.url, str(log))
    for text in (site.url, str(found["pid"]), str(log), "polos server stop"):
        assert text in said.out
    _assert_free_of_the_terminal(found["pid"])
    assert "Workflows" in site.get("/workflows").text
    assert (site.folder / ".polos/server.log.1").exists(), "the log is not bounded"
    assert "has ended" in site("server", "stop", cwd=below).out
    assert not site.lives
    assert site("server", "status", "--json", code=1).data["running"] is False
    _assert_left_alone(site)


def _assert_free_of_the_terminal(pid: int) -> None:
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    assert (
        os.readlink(f"/proc/{pid}/fd/1").startswith("/") and psutil.Process(pid).terminal() is None
    )


def _assert_left_alone(site: Site) -> None:
    """A process that got the number of a server which has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        another = process(other.pid)
        old = replace(another, started=another.started - 1)
        state = {"url": site.url, "started_at": "2026-01-01T00:00:00+00:00", "app": "x"}
        (site.folder / ".polos/server.json").write_text(json.dumps({"owner": str(old), **state}))
        assert "no server runs" in site("server", "stop").out
        assert other.poll() is None
        other.kill()


def test_a_port_that_is_taken(site: Site, tmp_path_factory: pytest.TempPathFactory) -> None:
    with socket.create_server((HOST, site.port)):
        refused = site.start(code=1)
    assert f"port {site.port} of {HOST} is in use by another program" in refused.err
    assert site.state == {}
    site.start()
    neighbour = Site(tmp_path_factory.mktemp("neighbour"), port=site.port)
    assert "in use by a Polos server of another folder" in neighbour.start(code=1).err
    assert site.answers()


def test_a_failure_shows_what_the_server_said(site: Site) -> None:
    refused = site.start(code=1, env={"POLOS_WORKFLOWS": "not_here.at_all"})
    assert "the server did not start" in refused.err
    assert "POLOS_WORKFLOWS names the module 'not_here.at_all'" in refused.err
    assert site.state == {}
    (site.folder / "flowerconfig.py").write_text("1 / 0")
    assert "division by zero" in site.start(code=2).err


def test_what_is_refused_before_anything_starts(site: Site) -> None:
    for open_to_all in (("--host", "0.0.0.0"), ("--", "--address=")):
        assert "FLOWER_BASIC_AUTH" in site.start(*open_to_all, code=2).err
    assert "user:password" in site.start("--basic-auth", "ada", code=2).err
    assert "'--nope=1' is no option of Flower" in site.start("--", "--nope=1", code=2).err
    elsewhere = site.start("--host", "192.0.2.1", "--basic-auth", "ada:secret", code=2)
    assert "no address of this host" in elsewhere.err
    missing = "import sys; sys.modules['flower'] = None; from polos.cli import main; main()"
    refused = site("server", "start", code=2, command=[sys.executable, "-c", missing])
    assert 'pip install "polos[server]"' in refused.err


def test_in_the_foreground_ctrl_c_ends_it(site: Site) -> None:
    args = ("server", "start", "--foreground", "--port", str(site.port))
    with site.program(*args) as server:
        server.wait_for(site.answers, 90)
        assert site("server", "status", "--json").data["pid"] == server.pid
        assert f"Visit me at {site.url}" in server.text()
        assert server.stop(30, signal.SIGINT) == 0
    assert not site.lives


def test_on_servers_that_a_project_has(
    site: Site, redis_server: RedisServer, postgres_url: str
) -> None:
    site.env |= {"PROJ_BROKER": redis_server.url, "PROJ_DATABASE": postgres_url}
    (site.folder / "shop.py").write_text(_PROJECT)
    refused = site.start(code=5, command=[sys.executable, "-m", "polos.cli", "-A", "shop"])
    assert "polos migrate" in refused.err
    site("-A", "shop", "migrate")
    options = ("--basic-auth", "ada:secret", "--url-prefix", "/flows/", "--host", "0.0.0.0")
    said = site.start(*options, command=[sys.executable, "-m", "celery", "-A", "shop", "polos"])
    assert f"{site.url}/flows" in said.out
    found = site("server", "status", "--json").data
    assert found["app"] == "shop"
    assert "secret" not in " ".join(psutil.Process(found["pid"]).cmdline())
    assert site.get("/flows/workflows").status_code == 401
    assert site.get("/flows/workflows", auth=("ada", "secret")).status_code == 200
    site("server", "stop")


def test_a_worker_and_a_server_tell_how_they_are(
    site: Site, redis_server: RedisServer, postgres_url: str
) -> None:
    site.env |= {"PROJ_BROKER": redis_server.url, "PROJ_DATABASE": postgres_url}
    (site.folder / "shop.py").write_text(_PROJECT)
    celery, name = [sys.executable, "-m", "celery", "-A", "shop"], "shop@here"

    def worker_health(code: int | None = None) -> Said:
        return site("polos", "health", "--worker", name, command=celery, code=code)

    assert "polos migrate" in worker_health(1).out
    site("-A", "shop", "migrate")
    assert f"no worker {name} has reported" in worker_health(1).out
    options = ("--pool", "solo", "--hostname", name, "--without-mingle")
    with site.program("worker", *options, command=celery) as worker:
        until(lambda: worker_health().code == 0, 90)
        assert "the broker answers" in worker_health(0).out
        site.start(command=[*POLOS, "-A", "shop"])
        assert "is ready" in site("health", "--server", site.url).out
        redis_server.stop()
        assert "broker" in worker_health(1).out
        out = site("health", "--server", site.url, "--json", code=1).data
        assert (out["healthy"], "broker: failed" in out["text"]) == (False, True), out
        assert "broker: failed" in site("server", "status", code=1).out
        redis_server.start()
        worker.kill()
        worker.wait()
    until(lambda: "has not reported for" in worker_health(None).out, 60)
    assert worker_health().code == 1


_PROJECT = """\
import os

from celery import Celery

from polos import Polos

app = Celery("shop", broker=os.environ["PROJ_BROKER"])
app.conf.polos_database_url = os.environ["PROJ_DATABASE"]
polos = Polos(app)
"""


def test_servers_that_are_away_are_waited_for_but_not_at_the_end(site: Site) -> None:
    away = f"postgresql+psycopg://postgres@{HOST}:{free_port()}/x"
    # Threads of Flower are waiting for this one.
    broker = f"amqp://{HOST}:{free_port()}//"
    said = site.start(env={"POLOS_DATABASE_URL": away, "POLOS_BROKER_URL": broker})
    assert "the server waits for it" in said.err
    assert "store: failed" in site("server", "status", code=1).out
    assert "has ended" in site("server", "stop").out
