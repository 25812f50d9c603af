"""What an address of the list asks for, and what of it is refused."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest

from polos.flower.asked import Asked, asked_for
from polos.model.finding import Sought
from polos.model.listing import Place
from polos.model.records import SECOND, Micros
from polos.model.states import Status

PLACE = Place(Micros(17), "an id")


def of(query: str) -> Asked:
    """What is asked for by the part of an address behind the question mark."""
    given = parse_qs(query)
    return asked_for(lambda name: given.get(name, [""])[-1], lambda name: given.get(name, []))


FOUND: dict[str, dict[str, Any]] = {
    "": {},
    "workflow=flow&text=&by=id&span=&from=&to=": {"workflow_id": "flow"},
    "status=failed&status=waiting&status=failed": {"statuses": (Status.FAILED, Status.WAITING)},
    "text=+abc+": {"id_prefix": "abc"},
    "by=tag&text=a+b": {"tag": "a b"},
    "by=session&text=s": {"session_id": "s"},
    "by=user&text=%3Cb%3E": {"user_id": "<b>"},
    "by=user": {},
    "span=between&from=1970-01-01T00:01&to=1970-01-01T01:02:00%2B01:00": {
        "created_after": 60 * SECOND,
        "created_before": 120 * SECOND,
    },
    "span=between": {},
    "from=1970-01-01T00:01": {},
    f"after={PLACE.to_cursor()}": {"place": PLACE},
    f"before={PLACE.to_cursor()}": {"place": PLACE, "newer": True},
}


@pytest.mark.parametrize("query", FOUND)
def test_it_is_understood(query: str) -> None:
    assert of(query).sought == Sought(**FOUND[query])


@pytest.mark.parametrize("query", FOUND)
def test_its_own_address_asks_for_the_same(query: str) -> None:
    asked = of(query)
    again = of(urlencode({k: v for k, v in asked.query().items() if v}, doseq=True))
    assert again.sought == asked.sought.at(None)
    assert again.is_narrow == asked.is_narrow


def test_a_span_ends_now() -> None:
    after = of("span=24h").sought.created_after
    assert after is not None
    assert 0 <= time.time() - 86_400 - after / SECOND < 60
    assert after % (10 * SECOND) == 0


@pytest.mark.parametrize(
    "query",
    [
        "status=lost",
        "by=nothing&text=x",
        "span=1y",
        "span=between&from=yesterday",
        "after=x",
        "before=%00",
        "text=" + "x" * 256,
        "by=tag&text=%00",
        "workflow=%ED%B2%80%00",
    ],
)
def test_what_cannot_be_understood_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        of(query)


def test_a_status_is_added_and_taken_away() -> None:
    asked = of("status=failed&workflow=flow")
    assert asked.toggled(Status.QUEUED) == ["queued", "failed"]
    assert asked.toggled(Status.FAILED) == []
    assert asked.counted == Sought(workflow_id="flow")
