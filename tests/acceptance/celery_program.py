"""``celery``, with something changed before it starts.

``python -m tests.acceptance.celery_program CHANGE -A proj flower …``
"""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flower
from celery.__main__ import main
from flower import urls
from flower.views import BaseHandler


def without_polos() -> None:
    """As on a machine where nobody installed Polos."""
    found = importlib.metadata.entry_points

    def others(**asked: Any) -> Any:
        kept = [it for it in found(**asked) if not it.module.startswith("polos")]
        return importlib.metadata.EntryPoints(kept)

    importlib.metadata.entry_points = others


def no_handlers() -> None:
    """A Flower that keeps its pages elsewhere."""
    urls.handlers.clear()


def no_place() -> None:
    """A Flower with another navigation."""
    folder = Path(tempfile.mkdtemp()) / "templates"
    shutil.copytree(urls.settings["template_path"], folder)
    (folder / "navbar.html").write_text("<nav>all is new</nav>")
    urls.settings["template_path"] = str(folder)


def no_user() -> None:
    """A Flower that finds out elsewhere who asks."""
    del BaseHandler.get_current_user


def next_major() -> None:
    """A Flower of after tomorrow."""
    flower.VERSION, flower.__version__ = (3, 0, 0), "3.0.0"


CHANGES: dict[str, Callable[[], None]] = {
    it.__name__: it for it in (without_polos, no_handlers, no_place, no_user, next_major)
}

if __name__ == "__main__":
    CHANGES[sys.argv.pop(1)]()
    main()
