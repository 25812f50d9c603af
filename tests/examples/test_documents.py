"""README and docs, held against the code."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from polos.model.settings import Settings
from polos.store.migrate import VERSION_TABLE
from polos.store.schema import metadata
from tests.support.processes import ROOT, Program

DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")]
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of a document in one language."""
    found = _BLOCK.findall(document.read_text())
    return [text for _, said, text in found if said == language]


@pytest.mark.acceptance
def test_the_first_workflow_of_the_readme_runs(
    program: Callable[..., Program], tmp_path: Path
) -> None:
    (tmp_path / "first.py").write_text(blocks(ROOT / "README.md", "python")[0])
    consoles = blocks(ROOT / "README.md", "console")
    [promised] = [text for text in consoles if text.startswith("$ python first.py")]
    first = program(sys.executable, "first.py", cwd=tmp_path, env={"HOME": str(tmp_path)})
    assert first.wait(120) == 0, first.tail()
    assert first.text() == promised.partition("\n")[2]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_in_the_documents_compiles(document: Path) -> None:
    for text in blocks(document, "python"):
        inner = re.sub("^", "    ", text, flags=re.MULTILINE)
        compile(f"async def block():\n{inner}\n", str(document), "exec")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    targets = _LINK.findall(document.read_text())
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (document.parent / target).exists()] == []


def test_the_page_of_states_is_made_from_the_table(
    program: Callable[..., Program],
) -> None:
    made = program(sys.executable, ROOT / "docs" / "make_states.py")
    assert made.wait(120) == 0, made.tail()
    assert made.text() == (ROOT / "docs" / "states.md").read_text(), (
        "run: python docs/make_states.py > docs/states.md"
    )


def test_the_page_of_settings_lists_each_with_its_default() -> None:
    rows = re.findall(
        r"^\| `(POLOS_\w+)` \| `(\w+)` \| (\S+) \|", (ROOT / "docs/settings.md").read_text(), re.M
    )
    listed = {name: (conf, default.strip("`")) for name, conf, default in rows}
    assert listed == {
        f"POLOS_{field.name.upper()}": (
            f"polos_{field.name}",
            "empty" if field.default in ("", ()) else str(field.default),
        )
        for field in fields(Settings)
    }


def test_all_tables_are_dropped_in_an_order_that_works() -> None:
    advice = (ROOT / "docs" / "adopting.md").read_text().partition("Drop the tables: ")[2]
    named = re.findall(r"`(polos_\w+)`", advice.partition("in this order")[0])
    assert sorted(named) == sorted({*metadata.tables, VERSION_TABLE})
    for table in metadata.tables.values():
        for key in table.foreign_keys:
            other = key.column.table.name
            assert other == table.name or named.index(table.name) < named.index(other)
