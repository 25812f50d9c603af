"""A Celery project of somebody's own, which Polos is bound to."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

from polos import Polos
from tests.acceptance import flows
from tests.acceptance.ledger import effect

app = Celery("proj", set_as_current=False)
app.conf.update(
    broker_url=os.environ.get("PROJ_BROKER", "memory://"),
    result_backend=os.environ.get("PROJ_BACKEND"),
    polos_database_url=os.environ.get("PROJ_DATABASE"),
    polos_auto_migrate=True,
    task_default_queue="proj",
)


@app.task(name="proj.pass_on")
def pass_on(found: Any, ledger_id: str) -> str:
    """What a chain has behind a workflow."""
    effect(ledger_id, "passed on", None, repr(found))
    return f"passed on: {found}"


@app.task(name="proj.gather")
def gather(found: list[Any], ledger_id: str) -> list[Any]:
    """What a chord has behind workflows."""
    effect(ledger_id, "gathered", None, repr(found))
    return found


@app.task(name="proj.complain")
def complain(request: Any, error: Any, traceback: Any, ledger_id: str) -> None:
    """What hears of a failure."""
    effect(ledger_id, "complained", None, str(error))


if "PROJ_BROKER" in os.environ:
    polos = Polos(app)
    assert flows.relay.id
