"""Bars are to scale."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from polos.cli.screens.glyphs import ASCII, UNICODE
from polos.cli.screens.timeline import Scale, bar, ruler
from polos.model.spans import Part, Span

START = datetime(2030, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def drawn(*spans: tuple[Part, float, float | None], length: float = 10, cells: int = 20) -> str:
    scale = Scale(START, at(length), cells)
    made = [Span(part, at(a), None if b is None else at(b)) for part, a, b in spans]
    return bar(made, scale, ASCII)


def test_a_bar_is_as_long_as_its_part_of_the_whole() -> None:
    assert drawn((Part.WORKING, 0, 10)) == "#" * 20
    assert drawn((Part.WORKING, 5, 10)) == " " * 10 + "#" * 10
    assert drawn((Part.WAITING, 2.5, 5)) == " " * 5 + "-" * 5


def test_what_takes_no_time_has_a_cell_all_the_same() -> None:
    assert drawn((Part.WORKING, 5, 5)) == " " * 10 + "#"
    assert drawn((Part.WORKING, 10, 10)) == " " * 19 + "#"


def test_what_goes_on_reaches_the_end() -> None:
    assert drawn((Part.WAITING, 5, None)) == " " * 10 + "-" * 9 + ">"


def test_later_spans_lie_over_earlier_ones() -> None:
    assert drawn((Part.WORKING, 0, 10), (Part.WAITING, 2, 8)) == "####------------####"


def test_nothing_leaves_the_scale() -> None:
    assert drawn((Part.WORKING, -5, 30)) == "#" * 20
    assert drawn((Part.WORKING, 12, 30)) == " " * 19 + "#"
    assert drawn((Part.WORKING, 0, 0), length=0) == "#"


@pytest.mark.parametrize("cells", [5, 12, 16, 30, 80])
@pytest.mark.parametrize("length", [0.02, 4.2, 3599, 400_000])
def test_a_ruler_fits_and_names_the_end(cells: int, length: float) -> None:
    line = ruler(Scale(START, at(length), cells))
    assert len(line) <= cells
    assert cells < 16 or line.startswith("0")


def test_glyphs_fit_cells_and_not_characters() -> None:
    assert UNICODE.fit("日本語", 8) == "日本語  "
    assert UNICODE.fit("日本語", 5) == "日本…"
    assert ASCII.fit("abcdef", 4) == "abc~"
