"""The examples of docs/http-api.md are run as they stand there."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from polos import Polos, WorkflowContext, workflow
from polos.definition.registry import registry
from polos.server.problems import STATUSES
from polos.server.requests import LONGEST_POLL
from polos.store.api_keys import create
from tests.support.api_server import ApiServer
from tests.support.processes import ROOT

TEXT = (ROOT / "docs" / "http-api.md").read_text()
_BLOCK = re.compile(r"```bash\n(.*?)```", re.DOTALL)
_SETUP, *EXAMPLES = _BLOCK.findall(TEXT)


class Order(BaseModel):
    """What the examples order."""

    id: str


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What the examples' first block sets."""
    with registry.scoped(empty=True):

        @workflow
        async def order_processor(ctx: WorkflowContext, payload: Order) -> dict[str, str]:
            await ctx.step.run("charge", lambda: payload.id)
            return {"label": await ctx.step.run("label", payload.id.upper)}

        polos = Polos(database_url=f"sqlite:///{tmp_path}/polos.db", workflows=[order_processor])
        with polos, ApiServer(polos.bound.app) as server:
            _, key = create(polos.bound.store.database, polos.project_id, "docs")
            yield {"API": server.base, "KEY": f"Authorization: Bearer {key}"}


def test_the_examples_run(environment: dict[str, str]) -> None:
    assert set(environment) == set(re.findall(r"^(\w+)=", _SETUP, re.MULTILINE))
    told = [_run(example, environment) for example in EXAMPLES]
    assert json.loads(told[0])["id"] == "order-a1"
    assert json.loads(told[1])["result"] == {"label": "A1"}
    assert "event: end" in told[4]
    assert '"forked_from":"order-a1"' in told[5]


def _run(example: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example],
        env={"PATH": os.environ["PATH"], "no_proxy": "*", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{example}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_table_has_every_status_of_an_error() -> None:
    listed = {
        int(it) for row in re.findall(r"^\| (4\d\d.*?) \|", TEXT, re.M) for it in row.split(", ")
    }
    listed |= {int(it) for it in re.findall(r"^\| (5\d\d) \|", TEXT, re.MULTILINE)}
    # Nothing raises the others: a long poll answers 202, and 500 is a mistake.
    assert set(STATUSES.values()) - {500, 504} <= listed
    assert f"(0 to {LONGEST_POLL:g})" in TEXT
