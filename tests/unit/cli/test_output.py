"""Colours and characters only where they can be seen."""

from __future__ import annotations

import io
import sys

import click
import pytest
from rich.text import Text

from polos.cli import output
from polos.cli.choice import Choice, choose
from polos.cli.commands import main
from polos.cli.screens.glyphs import ASCII, UNICODE, glyphs_of


class Terminal(io.TextIOWrapper):
    """A standard output that may be a terminal."""

    def __init__(self, encoding: str, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def said(self) -> str:
        self.seek(0)
        return self.read()


def printed(
    monkeypatch: pytest.MonkeyPatch,
    *,
    terminal: bool = True,
    encoding: str = "utf-8",
    no_color: bool = False,
    **env: str,
) -> tuple[str, int]:
    """A red text as it is printed, and how wide the console is."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    stdout = Terminal(encoding, terminal)
    monkeypatch.setattr(sys, "stdout", stdout)
    context = click.Context(main)
    choose(context, Choice(no_color=no_color))
    console = output.console_of(context)
    glyphs = glyphs_of(console)
    assert glyphs is (UNICODE if encoding == "utf-8" else ASCII)
    console.print(Text("red ü 日", style="red"))
    return stdout.said(), console.width


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch)[0] == "\x1b[31mred ü 日\x1b[0m\n"
    assert printed(monkeypatch, terminal=False)[0] == "red ü 日\n"
    assert printed(monkeypatch, terminal=False, FORCE_COLOR="1")[0] == "red ü 日\n"


def test_colours_can_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[31m" not in printed(monkeypatch, NO_COLOR="1")[0]
    assert "\x1b[31m" not in printed(monkeypatch, no_color=True)[0]
    assert "\x1b" not in printed(monkeypatch, TERM="dumb")[0]


def test_characters_that_the_encoding_lacks_are_spelled_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said, _ = printed(monkeypatch, terminal=False, encoding="ascii")
    assert said == "red \\xfc \\u65e5\n"


def test_the_width_is_the_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch, COLUMNS="93")[1] == 93
    assert printed(monkeypatch, terminal=False)[1] == 120
    assert printed(monkeypatch, terminal=False, COLUMNS="80")[1] == 80
