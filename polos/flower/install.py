"""Puts the Workflows tab into the Flower of this process, before it starts.

Flower has no place for other pages. Its list of handlers and its template loader take them all the
same; where it is not made as the tab needs it, Flower starts as it is without Polos, and says so.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from tornado.routing import URLSpec
from tornado.template import Loader, ParseError, Template

from polos.flower.assets import ASSETS
from polos.flower.insides import NAVBAR, Insides, Unexpected, known_insides
from polos.flower.metrics import register
from polos.flower.navbar import with_tab
from polos.flower.task_link import with_execution_link

log = logging.getLogger("polos.flower")

_HERE = Path(__file__).parent
_TEMPLATES = _HERE / "templates"
_OWN = "polos-"
TASK_PAGE = "task.html"


class TabLoader(Loader):
    """Finds the templates of the tab, ``polos-….html``, and Flower's own with the tab added.

    Args:
        root: where Flower's templates are.
    """

    def _create_template(self, name: str) -> Template:
        folder = _TEMPLATES if name.startswith(_OWN) else Path(self.root)
        text = (folder / name).read_text(encoding="utf-8")
        if name == NAVBAR:
            text = with_tab(text) or text
        if name == TASK_PAGE:
            return self._with_link(text)
        return Template(text, name=name, loader=self)

    def _with_link(self, page: str) -> Template:
        changed = with_execution_link(page)
        try:
            if changed is not None:
                return Template(changed, name=TASK_PAGE, loader=self)
        except (ParseError, SyntaxError):
            log.debug("with the link it is no template", exc_info=True)
        log.warning("Flower's page of a task has no place for the link to its workflow.")
        return Template(page, name=TASK_PAGE, loader=self)


@cache
def install() -> bool:
    """Add the tab to this process's Flower, before it starts; a second time changes nothing.

    ``celery flower`` does it by itself. Where Flower is started in another way, its
    ``flowerconfig.py`` can.

    Returns:
        whether the tab is there; where it is not, the log says why.

    Example::

        # flowerconfig.py
        from polos.flower.install import install
        install()
    """
    try:
        _add(known_insides())
    except (Unexpected, ImportError, ParseError) as error:
        log.warning(
            "Flower starts without the Workflows tab of Polos: %s. "
            "'pip install --upgrade polos' may bring one that fits.",
            error,
        )
        return False
    return True


def _add(flower: Insides) -> None:
    loader = TabLoader(str(flower.templates))
    for name in (NAVBAR, *sorted(path.name for path in _TEMPLATES.glob(f"{_OWN}*.html"))):
        loader.load(name)
    # They are made from Flower's own, which had to be looked at before.
    pages = import_module("polos.flower.pages").PAGES
    routes = import_module("polos.server.routes").ROUTES
    added = [_named(handler) for handler in (*pages, *routes, ASSETS)]
    # Before the last one, which takes all that is left.
    flower.handlers[-1:-1] = added
    flower.settings["template_loader"] = loader
    register()


def _named(handler: Any) -> URLSpec:
    """As Flower moves it below its ``url_prefix``: of a tuple it forgets all but two."""
    return handler if isinstance(handler, URLSpec) else URLSpec(*handler)
