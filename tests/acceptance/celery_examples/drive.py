"""Asks a project's workers, in a process of its own: ``drive.py APP CALLS``; prints JSON."""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

from celery.app.utils import find_app

_ATTRIBUTES = ("acks_late", "ignore_result", "max_retries", "rate_limit", "serializer")


def main(name: str, calls: str) -> None:
    app = find_app(name)
    app.loader.import_default_modules()
    found: dict[str, Any] = {}
    results = {
        task: app.tasks[task].apply_async(tuple(args)) for task, args in json.loads(calls).items()
    }
    found["results"] = {task: result.get(timeout=60) for task, result in results.items()}
    inspect = app.control.inspect(timeout=10, limit=1)
    [found["registered"]] = (inspect.registered(*_ATTRIBUTES) or {}).values()
    [conf] = (inspect.conf(with_defaults=True) or {}).values()
    # Each copy of a project is in a folder of its own.
    found["conf"] = {key: repr(value).replace(os.getcwd(), "") for key, value in conf.items()}
    if "polos.example" in app.tasks:
        registry = importlib.import_module("polos.definition.registry").registry
        found["workflow"] = registry.require("example").run_sync(timeout=60)
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    sys.path.insert(0, "")
    main(*sys.argv[1:])
