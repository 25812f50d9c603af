"""Asks a project's workers, in a process of its own: ``drive.py APP CALLS [WORKFLOWS]``."""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

from celery.app.utils import find_app
from celery.backends.base import DisabledBackend

_ATTRIBUTES = ("acks_late", "ignore_result", "max_retries", "rate_limit", "serializer")


def main(name: str, calls: str, workflows: str = "") -> None:
    app = find_app(name)
    app.loader.import_default_modules()
    if workflows:
        importlib.import_module(workflows)
    found: dict[str, Any] = {}
    asked = json.loads(calls)
    results = [
        app.tasks[task].apply_async(tuple(args), retries=retries)
        for task, args, retries, _ in asked
    ]
    if workflows:
        registry = importlib.import_module("polos.definition.registry").registry
        found["workflow"] = registry.require("example").run_sync(timeout=90)
    found["ids"] = [result.id for result in results]
    found["results"] = None
    if not isinstance(app.backend, DisabledBackend):
        found["results"] = [
            result.get(timeout=60) if ends else None
            for result, (*_, ends) in zip(results, asked, strict=True)
        ]
    inspect = app.control.inspect(timeout=10, limit=1)
    [found["registered"]] = (inspect.registered(*_ATTRIBUTES) or {}).values()
    [conf] = (inspect.conf(with_defaults=True) or {}).values()
    # Each copy of a project is in a folder of its own.
    found["conf"] = {key: repr(value).replace(os.getcwd(), "") for key, value in conf.items()}
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    sys.path.insert(0, "")
    main(*sys.argv[1:])
