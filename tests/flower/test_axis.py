"""Where moments lie on the chart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from polos.flower.execution.axis import by_order, to_scale

START = datetime(2030, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_to_scale_is_to_scale() -> None:
    axis = to_scale(START, at(40))
    assert [axis.x(at(s)) for s in (-1, 0, 10, 20, 40, 99)] == [0, 0, 25, 50, 100, 100]


@pytest.mark.parametrize(
    ("seconds", "texts"),
    [
        (0.05, ["0 ms", "10 ms", "20 ms", "30 ms", "40 ms", "50 ms"]),
        (9.2, ["0 ms", "2.0 s", "4.0 s", "6.0 s", "8.0 s"]),
        (3600, ["0 ms", "10 min", "20 min", "30 min", "40 min", "50 min", "1 h"]),
        (30 * 86_400, ["0 ms", "5 d", "10 d", "15 d", "20 d", "25 d", "30 d"]),
    ],
)
def test_marks_are_round_and_not_many(seconds: float, texts: list[str]) -> None:
    marks = to_scale(START, at(seconds)).marks(START)
    assert [mark.text for mark in marks] == texts
    assert [mark.x for mark in marks] == sorted(mark.x for mark in marks)


@pytest.mark.parametrize("seconds", [1e-6, 1e-3, 7, 1e4, 1e7, 3e9])
def test_there_is_always_a_mark_and_never_a_crowd(seconds: float) -> None:
    assert 1 <= len(to_scale(at(5), at(5 + seconds)).marks(START)) <= 7


def test_marks_count_from_the_beginning_of_the_whole() -> None:
    assert [it.text for it in to_scale(at(61), at(65)).marks(START)][:2] == [
        "1 min 1 s",
        "1 min 2 s",
    ]


def test_what_has_no_length_has_a_place_all_the_same() -> None:
    assert to_scale(START, START).x(START) == 0
    assert by_order([START]).x(START) == 0


def test_a_gap_of_thirty_days_leaves_room_for_milliseconds() -> None:
    days = 30 * 86_400
    moments = [at(0), at(0.01), at(0.02), at(0.03), at(days), at(days + 0.01), at(days + 0.02)]
    axis = by_order(moments)
    places = [axis.x(it) for it in moments]
    assert places == sorted(places) and (places[0], places[-1]) == (0, 100)
    assert min(after - before for before, after in zip(places, places[1:], strict=False)) > 2
    assert places[4] - places[3] == max(b - a for a, b in zip(places, places[1:], strict=False))
    assert [(it.text, it.is_gap) for it in axis.marks(START)] == [("30 d", True)]


def test_between_two_moments_it_is_to_scale() -> None:
    axis = by_order([at(0), at(1), at(101)])
    middle = axis.x(at(51))
    assert middle == pytest.approx((axis.x(at(1)) + 100) / 2)


def test_late_in_a_long_execution_marks_tell_each_other_apart() -> None:
    axis = to_scale(at(2299.0), at(2299.05))
    texts = [mark.text for mark in axis.marks(START)]
    assert texts == ["38 min 19 s", "+10 ms", "+20 ms", "+30 ms", "+40 ms", "+50 ms"]
