"""Executions in the admin: shown with their steps, changed by nobody."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contrib.probes import TEXT
from tests.contrib.sites import Site
from tests.support.processes import Program

Start = Callable[..., Program]


@pytest.fixture
def site(program: Start, database_url: str, tmp_path: Path) -> Site:
    """The project with all its tables."""
    made = Site(program, tmp_path, database_url)
    made.manage("migrate", "-v0")
    return made


def text_of(page: dict[str, Any]) -> str:
    """What a reader sees of a page."""
    assert page["status"] == 200
    inner = re.sub(r"<(script|style).*?</\1>", "", page["html"], flags=re.DOTALL)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", inner)))


def test_the_pages_show_what_is_stored_and_change_nothing(site: Site) -> None:
    pages = site.ask("pages")
    ids = pages["ids"]
    _assert_list(pages, ids)
    completed = text_of(pages["completed"])
    tried = f"ValueError: not yet: {ids['completed']} <b>"
    for shown in ("said", "invoke_and_wait", "asked", "child", "ada", "s1", TEXT, tried):
        assert shown in completed, shown
    assert "<script>alert" not in pages["completed"]["html"]
    failed = text_of(pages["failed"])
    assert f"StepExecutionError: {TEXT}" in failed or f"ValueError: {TEXT}" in failed
    assert "refused" in failed
    assert "for ever wait 20" in text_of(pages["waiting"])
    for name in ids:
        # What could be changed would be in a form's fields.
        fields = re.findall(r"<(?:input|textarea|select)[^>]*name=\"(\w+)\"", pages[name]["html"])
        assert set(fields) <= {"csrfmiddlewaretoken", "theme"}, fields
    assert pages["another project"]["status"] == 302
    assert pages["refused"] == {
        "add": 403,
        "change": 403,
        "delete": 403,
        "action": True,  # it is there as before
        "without the right": 403,
        "with it": 200,
        # To view, and no other, of each of the five models.
        "rights": 5,
    }


def _assert_list(pages: dict[str, Any], ids: dict[str, str]) -> None:
    listed = {
        "list": {"completed", "failed", "waiting"},
        "by id": {"completed"},
        "by user": {"completed"},
        "by status": {"failed"},
        "by workflow": set(),
        "by time": {"completed", "failed", "waiting"},
        "nothing": set(),
    }
    for query, expected in listed.items():
        text = text_of(pages[query])
        assert {name for name, id_ in ids.items() if id_ in text} == expected, query
    assert "child" in text_of(pages["by workflow"])
    # Neither all rows nor what may be large.
    for query in pages["queries"]:
        assert "payload" not in query, query
        assert "COUNT(*)" not in query or "LIMIT 10001" in query, query


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_masked_fields_are_seen_nowhere(program: Start, database_url: str, tmp_path: Path) -> None:
    site = Site(program, tmp_path, database_url, POLOS_REDACT="secret")
    site.manage("migrate", "-v0")
    page = site.ask("masks", "hunter2")
    shown = text_of(page)
    for part in ("ann", "looked up", "forgotten", "not yet", "nobody has"):
        assert part in shown, part
    assert "***" in shown
    assert "hunter2" not in page["html"]


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_many_rows_are_not_counted(program: Start, database_url: str, tmp_path: Path) -> None:
    site = Site(program, tmp_path, database_url)
    site.manage("migrate", "-v0", "polos")
    counts = site.ask("counts", "12000")
    assert counts["few"] == 7
    sqlite = "sqlite3" in site.env["SITE_DATABASES"]
    assert counts["every"] == 10_000 if sqlite else 11_000 < counts["every"] < 13_000
