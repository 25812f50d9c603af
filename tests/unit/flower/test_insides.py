"""What is looked at in Flower before it is changed; each difference by itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flower
import pytest
from flower import options, urls, views
from tornado.routing import URLSpec

from polos.flower import install as installing
from polos.flower.insides import Unexpected, known_insides
from polos.flower.navbar import with_tab


def _module(handler: Any) -> str:
    found = handler.handler_class if isinstance(handler, URLSpec) else handler[1]
    return str(found.__module__)


@pytest.fixture(autouse=True)
def pristine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower's insides as they were before another test of this process put the tab there."""
    own = [it for it in urls.handlers if not _module(it).startswith("polos.")]
    settings = {k: v for k, v in urls.settings.items() if k != "template_loader"}
    monkeypatch.setattr(urls, "handlers", own)
    monkeypatch.setattr(urls, "settings", settings)


def test_the_installed_flower_is_known() -> None:
    found = known_insides()
    assert found.handlers is urls.handlers
    assert found.settings is urls.settings
    assert (found.templates / "navbar.html").is_file()


def templates(tmp_path: Path, name: str, change: Callable[[str], str]) -> None:
    """Another folder of templates, one of them changed."""
    folder = tmp_path / "templates"
    shutil.copytree(urls.settings["template_path"], folder)
    path = folder / name
    path.write_text(change(path.read_text()))
    urls.settings["template_path"] = str(folder)


class Bare:
    """No handler."""


DIFFERENCES: dict[str, tuple[Callable[[pytest.MonkeyPatch, Path], object], str]] = {
    "another major version": (lambda p, _: p.setattr(flower, "VERSION", (3, 0)), "its version is"),
    "no version": (lambda p, _: p.delattr(flower, "VERSION"), "its version is"),
    "handlers empty": (lambda *_: urls.handlers.clear(), "is no list with its pages"),
    "handlers no list": (lambda p, _: p.setattr(urls, "handlers", ()), "is no list with its pages"),
    "no handlers": (lambda p, _: p.delattr(urls, "handlers"), "is no list with its pages"),
    "a handler of another kind": (lambda *_: urls.handlers.insert(0, 7), "which is no page"),
    "no catch-all": (lambda *_: urls.handlers.pop(), "does not take all that is left"),
    "a page of ours": (
        lambda *_: urls.handlers.insert(0, (r"/workflows/?.*", Bare)),
        "something of its own at /workflows",
    ),
    "all taken earlier": (
        lambda *_: urls.handlers.insert(0, (r"/api/.*", Bare)),
        "something of its own at /api/polos/health",
    ),
    "settings no dictionary": (lambda p, _: p.setattr(urls, "settings", []), "is no dictionary"),
    "no templates": (lambda *_: urls.settings.pop("template_path"), "has no template_path"),
    "no login": (lambda *_: urls.settings.pop("login_url"), "has no login_url"),
    "a loader": (
        lambda *_: urls.settings.update(template_loader=object()),
        "has a template_loader already",
    ),
    "no handler": (lambda p, _: p.setattr(views, "BaseHandler", Bare), "is no handler"),
    "no base": (lambda p, _: p.delattr(views, "BaseHandler"), "is no handler"),
    "no user": (
        lambda p, _: p.delattr(views.BaseHandler, "get_current_user"),
        "has no get_current_user of its own",
    ),
    "no prefix": (lambda p, _: p.setattr(options, "options", Bare()), "has no auth, basic_auth"),
    "no block": (
        lambda _, tmp: templates(tmp, "base.html", lambda it: it.replace("extra_scripts", "x")),
        "has no block extra_scripts",
    ),
    "another navigation": (
        lambda _, tmp: templates(tmp, "navbar.html", lambda it: it.replace("'broker'", "'x'")),
        "has no place for the tab",
    ),
    "a template that is away": (
        lambda _, tmp: (
            templates(tmp, "base.html", str),
            (tmp / "templates/base.html").unlink(),
        ),
        "can't be read",
    ),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_each_difference_is_named_and_nothing_changed(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    change, said = DIFFERENCES[name]
    change(monkeypatch, tmp_path)
    handlers, settings = (getattr(urls, it, None) for it in ("handlers", "settings"))
    before = list(handlers or ()), dict(settings or {})
    with pytest.raises(Unexpected, match=said):
        known_insides()
    assert installing.install.__wrapped__() is False
    assert (list(handlers or ()), dict(settings or {})) == before
    [record] = caplog.records
    assert record.getMessage().startswith("Flower starts without the Workflows tab of Polos: ")
    assert said in record.getMessage()


# Where the two before it and the newest have their last tab.
NAVBARS = {
    "2.0": """<li class="nav-item">
        <a class="nav-link text-dark" href="{{ reverse_url('broker') }}">Broker</a>
      </li>
      <li class="nav-item"><a href="https://flower.example/">Documentation</a></li>""",
    "2.2": """<li class="nav-item">
          <a class="nav-link{% if active_tab == 'broker' %} active{% end %}"
            href="{{ reverse_url("broker") }}">Broker</a>
        </li>
      </ul>""",
}


@pytest.mark.parametrize("name", NAVBARS)
def test_the_tab_comes_behind_the_last_one(name: str) -> None:
    found = with_tab(NAVBARS[name])
    assert found is not None
    assert found.index(">Broker<") < found.index(">Workflows<")
    assert found.count("<li") == found.count("</li>")
    assert NAVBARS[name].splitlines()[-1] in found.splitlines()[-1]


@pytest.mark.parametrize("navbar", ["", "<nav></nav>", "{{ reverse_url('broker') }}"])
def test_where_there_is_no_place_there_is_no_tab(navbar: str) -> None:
    assert with_tab(navbar) is None
