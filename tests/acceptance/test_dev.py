"""``polos dev``: a worker that starts again when code changes, and a server beside it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from polos import PolosClient
from polos.engine.owner import lives, process
from polos.model.settings import Settings
from tests.acceptance.sites import Site
from tests.support.processes import Program, until

FLOWS = """\
import time
from pathlib import Path

from polos import WorkflowContext, workflow

WORD = "old"
HERE = Path(__file__).parent


def word() -> str:
    return WORD


def stay() -> str:
    (HERE / f"stays-{WORD}").touch()
    while WORD == "old":
        time.sleep(0.05)
    return WORD


@workflow(id="dev-words")
async def words(ctx: WorkflowContext) -> str:
    return await ctx.step.run("word", word)


@workflow(id="dev-long")
async def long(ctx: WorkflowContext) -> list:
    return [await ctx.step.run("word", word), await ctx.step.run("stay", stay, max_retries=0)]
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("POLOS_HOME", str(tmp_path / ".polos"))
    (tmp_path / "flows.py").write_text(FLOWS)
    made = Site(tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(site: Site) -> Iterator[PolosClient]:
    made = PolosClient(settings=Settings())
    yield made
    made.close()


@pytest.fixture
def dev(site: Site) -> Iterator[Program]:
    with site.program("dev", "flows", "--port", str(site.port)) as program:
        program.wait_for(" ready.", 90)
        program.wait_for(site.answers, 90)
        yield program


def test_a_session(site: Site, dev: Program, client: PolosClient) -> None:
    assert site("server", "status", "--json").data["url"] == site.url
    assert result(client, "dev-words") == "old"
    owner = site.state["owner"]

    # The first step is recorded; the second one is in the middle, and runs again.
    handle = asyncio.run(client.invoke("dev-long"))
    until((site.folder / "stays-old").exists, 60)
    said = save(site, dev, FLOWS.replace('"old"', '"new"', 1))
    assert "flows.py changed, the worker starts again" in dev.text()[said:]
    assert asyncio.run(handle.result(60)) == ["old", "new"]
    assert result(client, "dev-words") == "new"
    dev.wait_for(lambda: site.answers() and site.state["owner"] != owner, 60)

    said = save(site, dev, "def broken(:\n", "the next save starts it again")
    assert "SyntaxError" in dev.text()[said:]
    assert site.answers(), "pages are there all the same"
    save(site, dev, FLOWS)
    assert result(client, "dev-words") == "old"

    programs = dev.children()
    assert dev.stop(60, signal.SIGINT) == 0
    assert "Traceback" not in dev.text().rpartition("SyntaxError")[2]
    assert not alive(programs)
    assert site("server", "status", "--json", code=1).data["running"] is False


def test_its_programs_end_with_it_however_it_ends(dev: Program) -> None:
    programs = dev.children()
    assert len(programs) >= 4, "a worker with two processes, and a server"
    dev.stop(60, signal.SIGKILL)
    try:
        until(lambda: not alive(programs), 60)
    finally:
        for left in alive(programs):
            os.kill(left, signal.SIGKILL)


def alive(programs: Iterable[psutil.Process]) -> list[int]:
    return [it.pid for it in programs if lives(str(process(it.pid)))]


def save(site: Site, dev: Program, text: str, then: str = " ready.") -> int:
    """Save code, and wait for what comes of it; from where on that was said."""
    said = len(dev.text())
    (site.folder / "flows.py").write_text(text)
    dev.wait_for(then, 90, after=said)
    return said


def result(client: PolosClient, workflow_id: str) -> Any:
    """Run a workflow."""

    async def run() -> Any:
        return await (await client.invoke(workflow_id)).result(60)

    return asyncio.run(run())
