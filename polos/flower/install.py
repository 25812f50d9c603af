"""Puts the Workflows tab into the Flower of this process, before it starts.

Flower has no place for other pages. Its list of handlers and its template loader take them all the
same; where either is not as expected, Flower starts without the tab, and says so.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from flower import urls
from tornado.template import Loader, Template
from tornado.web import StaticFileHandler

from polos.flower.metrics import register
from polos.flower.navbar import with_tab
from polos.flower.pages import PAGES
from polos.server.routes import ROUTES

_HERE = Path(__file__).parent
_NAVBAR = "navbar.html"


class Unexpected(Exception):
    """This Flower is not made as the tab needs it."""


class TabLoader(Loader):
    """Finds the templates of the tab, ``polos-….html``, and Flower's own with the tab added.

    Args:
        root: where Flower's templates are.
    """

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._own = str(_HERE / "templates")

    def _create_template(self, name: str) -> Template:
        folder = self._own if name.startswith("polos-") else self.root
        text = (Path(folder) / name).read_text(encoding="utf-8")
        if name == _NAVBAR:
            text = with_tab(text) or text
        return Template(text, name=name, loader=self)


def install() -> bool:
    """Add the tab; False, after a warning, where this Flower has changed too much for it."""
    try:
        _add(urls.handlers, urls.settings)
    except Unexpected as error:
        warnings.warn(f"Flower starts without the Workflows tab: {error}", stacklevel=2)
        return False
    return True


def _add(handlers: list[Any], settings: dict[str, Any]) -> None:
    loader = TabLoader(settings["template_path"])
    if with_tab((Path(loader.root) / _NAVBAR).read_text(encoding="utf-8")) is None:
        raise Unexpected("its navigation has no place for it")
    static = (r"/polos/static/(.*)", StaticFileHandler, {"path": str(_HERE / "static")})
    # Before the last one, which takes all that is left.
    handlers[-1:-1] = [*PAGES, *ROUTES, static]
    settings["template_loader"] = loader
    register()
