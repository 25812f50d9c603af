"""A day in bars, and in words."""

from __future__ import annotations

from polos.flower.spark import HEIGHT, bars, in_words, outline
from polos.model.records import SECOND, Micros

NOW = Micros(24 * 3600 * SECOND)
NOTHING = (0,) * 24


def test_the_highest_is_as_high_as_there_is_place() -> None:
    found = bars((0, 10, 1000, *[0] * 21), (0, 1, 500, *[0] * 21))
    assert [bar.x for bar in found] == list(range(0, 120, 5))
    assert (found[0].height, found[2].height, found[2].failed) == (0, HEIGHT, HEIGHT / 2)
    # One among a thousand is seen.
    assert found[1].failed == 1.5
    assert all(bar.height == 0 for bar in bars(NOTHING, NOTHING))


def test_bars_are_drawn_as_one_line_without_those_of_no_height() -> None:
    assert outline([(0, 28.0), (5, 0.0), (10, 1.5)]) == "M2 28v-28M12 28v-2"


def test_in_words_it_says_how_much_and_when() -> None:
    started, failed = (*[0] * 8, 30, 12, *[0] * 14), (*[0] * 9, 2, *[0] * 14)
    assert in_words(started, failed, NOW) == (
        "42 starts in 24 hours, at most 30 in an hour, from 08:00 UTC on; 2 failed"
    )
    assert in_words(NOTHING, NOTHING, NOW) == "Nothing was started in the last 24 hours"
    assert in_words(NOTHING, failed, NOW) == "0 starts in 24 hours, at most 0 in an hour; 2 failed"
