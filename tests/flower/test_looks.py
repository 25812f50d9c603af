"""What a request asks to see, also where it makes no sense."""

from __future__ import annotations

from typing import Any

import pytest

from polos.flower.execution.looks import STEPS_ON_A_PAGE, Look, is_storable
from polos.model.listing import Place
from polos.model.records import Micros
from polos.model.steps import Asked, StepPlace

LIMIT = STEPS_ON_A_PAGE
LAST = Asked(last=True, limit=LIMIT)
PLACE = StepPlace(1, 2, "a.b")


class Request:
    """As much of a handler as is asked."""

    def __init__(self, **given: str) -> None:
        self._given = given

    def get_query_argument(self, name: str, default: Any, strip: bool = True) -> Any:
        return self._given.get(name, default)


def look(**given: str) -> Look:
    return Look.of(Request(**given))


@pytest.mark.parametrize(
    ("steps", "asked"),
    [
        ("", LAST),
        ("last", LAST),
        ("first", Asked(limit=LIMIT)),
        (f"after:{PLACE.to_cursor()}", Asked(after=PLACE, limit=LIMIT)),
        (f"before:{PLACE.to_cursor()}", Asked(before=PLACE, limit=LIMIT)),
        ("failed", Asked(failed=True, limit=LIMIT)),
        (f"failed:{PLACE.to_cursor()}", Asked(failed=True, after=PLACE, limit=LIMIT)),
        ("since:5", Asked(since=Micros(5), limit=LIMIT)),
        ("since:-5", LAST),
        (f"since:{2**62}", LAST),
        ("after:", LAST),
        ("before:nonsense", LAST),
        (f"after:{StepPlace(0, 0, 'a' + chr(0)).to_cursor()}", LAST),
        (f"before:{StepPlace(0, 0, 'x' * 256).to_cursor()}", LAST),
        (f"before:{StepPlace(0, 0, '').to_cursor()}", LAST),
    ],
)
def test_which_steps(steps: str, asked: Asked) -> None:
    assert look(steps=steps).asked == asked


def test_a_step_begins_a_page_unless_steps_are_named() -> None:
    assert look(step="a").asked == Asked(key="a", limit=LIMIT)
    assert look(step="a", steps="first").asked == Asked(limit=LIMIT)
    assert look(step="a\0").step is None
    assert look(step="x" * 256).asked == LAST


def test_parts_and_views() -> None:
    assert (look(part="head").part, look(part="other").part) == ("head", "")
    assert (look(view="order").by_order, look(view="x").by_order) == (True, False)


def test_which_children() -> None:
    place = Place(Micros(5), "a")
    assert look(children=place.to_cursor()).children.after == place
    for bad in ("", "x", Place(Micros(5), "a\0").to_cursor()):
        assert look(children=bad).children.after is None


def test_what_can_be_stored() -> None:
    assert is_storable("é") and is_storable("x" * 255)
    for bad in ("", "\0", "a\0b", "\ud800", "x" * 256):
        assert not is_storable(bad)
