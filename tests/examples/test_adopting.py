"""The five jobs of docs/adopting.md, in Celery's ways and as workflows, on a real worker."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.examples.test_documents import blocks
from tests.support.processes import ROOT, Program
from tests.support.servers import RedisServer

EXAMPLE = ROOT / "examples" / "adopting"
SHOWN = """\
a chain              Celery    'parcel of order 7'
                     workflow  'parcel of order 7'
a group              Celery    [50, 20, 180]
                     workflow  [50, 20, 180]
a chord              Celery    250
                     workflow  250
a chord that fails   Celery    OutOfStock: yeti
                     workflow  StepExecutionError: step 'price yeti' failed: shop.OutOfStock: yeti
a task that retries  Celery    1.25
                     workflow  1.25
a task with an ETA   Celery    'reminded of order 7'
                     workflow  'reminded of order 7'
"""


@pytest.mark.acceptance
def test_both_ways_come_to_the_same(
    program: Callable[..., Program],
    tmp_path: Path,
    redis_server: RedisServer,
    postgres_url: str,
) -> None:
    env = {
        "HOME": str(tmp_path),
        "SHOP_REDIS": redis_server.url,
        "SHOP_DATABASE": postgres_url,
        "SHOP_BANK_IS_BUSY": str(tmp_path / "bank-is-busy"),
        "POLOS_AUTO_MIGRATE": "1",
    }
    celery = Path(sys.executable).with_name("celery")
    options = ("-A", "shop", "worker", "--concurrency", "2", "--loglevel", "info")
    worker = program(celery, *options, cwd=EXAMPLE, env=env, name="worker")
    worker.wait_for(" ready.", 60)
    compared = program(sys.executable, "compare.py", cwd=EXAMPLE, env=env, name="compare")
    assert compared.wait(120) == 0, compared.tail()
    assert compared.text() == SHOWN
    worker.stop(60)


def test_the_page_shows_the_example_as_it_is() -> None:
    code = "\n".join(path.read_text() for path in sorted(EXAMPLE.glob("*.py")))
    shown = blocks(ROOT / "docs" / "adopting.md", "python")
    lines = [line for block in shown for line in block.splitlines()]
    assert len(shown) == 11
    assert [line for line in lines if line not in code.splitlines()] == []
