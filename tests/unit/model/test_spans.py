"""When what went on in a step: attempts, the pauses between them, waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from polos.model.spans import Part, of_execution, of_step

START = datetime(2030, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def spans(step: dict[str, Any]) -> list[tuple[str, float, float | None]]:
    given = {"kind": "step", "status": "completed", "attempts": 1} | step
    return [
        (
            span.part.value,
            (span.start - START).total_seconds(),
            None if span.end is None else (span.end - START).total_seconds(),
        )
        for span in of_step(given)
    ]


def tried(end: float, again: float | None) -> dict[str, Any]:
    return {"at": at(end), "again_at": None if again is None else at(again)}


def test_each_attempt_and_each_pause_has_its_time() -> None:
    step = {"started_at": at(0), "finished_at": at(10), "attempts": 3}
    history = [tried(1, 3), tried(4, 8)]
    assert spans(step | {"history": history}) == [
        ("waiting", 0, 10),
        ("failing", 0, 1),
        ("failing", 3, 4),
        ("working", 8, 10),
    ]
    assert spans(step | {"history": history, "status": "failed"})[-1] == ("failing", 8, 10)


def test_a_step_in_back_off_waits_on() -> None:
    step = {"started_at": at(0), "finished_at": None, "status": "retrying", "attempts": 1}
    assert spans(step | {"history": [tried(1, 3)]}) == [("waiting", 0, None), ("failing", 0, 1)]


def test_where_it_is_not_known_when_an_attempt_began_its_end_is_shown() -> None:
    step = {"started_at": at(0), "finished_at": at(10), "attempts": 3}
    assert spans(step | {"history": [tried(1, None), tried(4, None)]})[1:] == [
        ("failing", 0, 1),
        ("failing", 4, 4),
        ("working", 10, 10),
    ]


def test_of_many_attempts_the_first_are_not_known() -> None:
    step = {"started_at": at(0), "finished_at": at(100), "attempts": 40}
    history = [tried(80 + number, 80.5 + number) for number in range(19)]
    found = spans(step | {"history": history})
    assert found[0] == ("waiting", 80, 100)
    assert found[1] == ("failing", 80, 80)
    assert found[2] == ("failing", 80.5, 81)


def test_a_next_attempt_that_came_early_has_no_negative_length() -> None:
    step = {"started_at": at(0), "finished_at": at(2), "attempts": 2}
    assert spans(step | {"history": [tried(1, 5)]})[-1] == ("working", 2, 2)


def test_a_child_of_which_only_its_state_is_known_waits_or_works() -> None:
    child = {"created_at": at(0), "started_at": at(1), "finished_at": None}
    for status, part in (("waiting", Part.WAITING), ("running", Part.WORKING)):
        *_, last = of_execution(child | {"status": status})
        assert (last.part, last.end) == (part, None)
