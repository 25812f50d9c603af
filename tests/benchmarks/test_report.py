"""Tables that people and programs read."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from benchmarks import report


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (12345.6, "12,346"),
        (123.4, "123"),
        (12.34, "12.3"),
        (1.234, "1.23"),
        (0.01234, "0.0123"),
        (0.0, "0"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_numbers_show_three_digits(value: float | None, shown: str) -> None:
    assert report.number(value) == shown


def test_a_table() -> None:
    assert report.table(["peer", "ms"], [["a|b", 1.5], ["c", None]]) == (
        "| peer | ms |\n| --- | ---: |\n| a\\|b | 1.50 |\n| c | – |\n"
    )


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    report.write(tmp_path / "new", "contest", "# Contest\n", {"rounds": [[1.5]]})
    assert (tmp_path / "new" / "contest.md").read_text() == "# Contest\n"
    assert json.loads((tmp_path / "new" / "contest.json").read_text()) == {"rounds": [[1.5]]}
