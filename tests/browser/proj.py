"""Somebody's project: a Celery app with Polos, as ``celery -A tests.browser.proj`` finds it."""

from __future__ import annotations

import os

from celery import Celery

from polos import Polos


def _app(name: str, flows: list[str]) -> Celery:
    made = Celery(name, set_as_current=False, broker=os.environ["PROJ_BROKER"])
    made.conf.polos_database_url = os.environ["PROJ_DATABASE"]
    made.conf.polos_auto_migrate = True
    made.conf.polos_redact = ["card_number"]
    made.conf.imports = flows
    Polos(made)
    return made


app = _app("proj", ["tests.browser.flows"])
# A Flower on a machine that has no workflow's code.
bare = _app("bare", [])
