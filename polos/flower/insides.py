"""What the tab needs of Flower's insides, looked at before any of it is changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from tornado.web import RequestHandler

from polos.flower.navbar import with_tab

NAVBAR = "navbar.html"
_KNOWN = 2
_METHODS = ("capp", "get_current_user", "render", "set_default_headers", "write_error")
_OPTIONS = ("auth", "basic_auth", "url_prefix")
_SETTINGS = ("cookie_secret", "login_url", "static_path", "template_path")
_BLOCKS = ("navbar", "container", "extra_scripts")
# Where pages, API and files of the tab are, or begin.
_OURS = ("/workflows", "/workflows/overview", "/api/polos/health", "/polos/static/polos.css")


class Unexpected(Exception):
    """This Flower is not made as the tab needs it; the text says where."""


@dataclass(frozen=True, slots=True)
class Insides:
    """What is changed for the tab.

    Attributes:
        handlers: which path is answered by what; the last one takes all that is left.
        settings: what Flower makes its application with.
        templates: the folder of its templates.
    """

    handlers: list[Any]
    settings: dict[str, Any]
    templates: Path


def known_insides() -> Insides:
    """The insides of this process's Flower.

    Raises:
        Unexpected: they are not as the tab needs them.
    """
    _check_version(_module("flower"))
    urls, views, options = (_module(f"flower.{name}") for name in ("urls", "views", "options"))
    _check_handlers(getattr(urls, "handlers", None))
    _check_settings(getattr(urls, "settings", None))
    _check_base(getattr(views, "BaseHandler", None))
    _check_options(getattr(options, "options", None))
    templates = Path(urls.settings["template_path"])
    _check_templates(templates)
    return Insides(urls.handlers, urls.settings, templates)


def _module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise Unexpected(f"{name} can't be imported ({error})") from error


def _check_version(flower: ModuleType) -> None:
    version = getattr(flower, "VERSION", None)
    if not isinstance(version, tuple) or version[:1] != (_KNOWN,):
        said = getattr(flower, "__version__", "unknown")
        raise Unexpected(f"its version is {said}, and known are those from {_KNOWN}.0 on")


def _check_handlers(handlers: Any) -> None:
    if not isinstance(handlers, list) or not handlers:
        raise Unexpected("flower.urls.handlers is no list with its pages")
    *others, last = map(_pattern, handlers)
    if not all(_answers(last, path) for path in _OURS):
        raise Unexpected("the last of flower.urls.handlers does not take all that is left")
    for path in _OURS:
        if any(_answers(pattern, path) for pattern in others):
            raise Unexpected(f"it has something of its own at {path}")


def _pattern(handler: Any) -> str:
    try:
        found = handler[0] if isinstance(handler, Sequence) else handler.regex.pattern
        re.compile(found)
    except (AttributeError, IndexError, TypeError, re.error) as error:
        raise Unexpected(f"flower.urls.handlers has {handler!r}, which is no page") from error
    return str(found)


def _answers(pattern: str, path: str) -> bool:
    return re.match(pattern if pattern.endswith("$") else f"{pattern}$", path) is not None


def _check_settings(settings: Any) -> None:
    if not isinstance(settings, dict):
        raise Unexpected("flower.urls.settings is no dictionary")
    missing = [name for name in _SETTINGS if not settings.get(name)]
    if missing:
        raise Unexpected(f"flower.urls.settings has no {', '.join(missing)}")
    if "template_loader" in settings:
        raise Unexpected("flower.urls.settings has a template_loader already")


def _check_base(base: Any) -> None:
    if not (isinstance(base, type) and issubclass(base, RequestHandler)):
        raise Unexpected("flower.views.BaseHandler is no handler of Tornado's")
    missing = [name for name in _METHODS if name not in vars(base)]
    if missing:
        raise Unexpected(f"flower.views.BaseHandler has no {', '.join(missing)} of its own")


def _check_options(options: Any) -> None:
    missing = [name for name in _OPTIONS if not hasattr(options, name)]
    if missing:
        raise Unexpected(f"flower.options.options has no {', '.join(missing)}")


def _check_templates(folder: Path) -> None:
    try:
        base, navbar = ((folder / name).read_text("utf-8") for name in ("base.html", NAVBAR))
    except (OSError, UnicodeError) as error:
        raise Unexpected(f"one of its templates can't be read ({error})") from error
    for block in _BLOCKS:
        if re.search(rf"{{%-?\s*block\s+{block}\s*-?%}}", base) is None:
            raise Unexpected(f"its template base.html has no block {block}")
    if with_tab(navbar) is None:
        raise Unexpected(f"its template {NAVBAR} has no place for the tab")
