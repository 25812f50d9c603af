from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polos.model.records import as_datetime, as_micros, micros
from polos.model.workers import Owner

PARIS = dt.timezone(dt.timedelta(hours=2))


@given(st.datetimes(min_value=dt.datetime(1900, 1, 1), max_value=dt.datetime(2200, 1, 1)))
def test_a_moment_and_its_datetime_are_one(moment: dt.datetime) -> None:
    aware = moment.replace(tzinfo=dt.UTC)
    assert as_datetime(as_micros(aware)) == aware
    assert as_micros(moment) == as_micros(aware) == as_micros(aware.astimezone(PARIS))


def test_moments_count_from_the_epoch() -> None:
    assert as_micros(dt.datetime(1970, 1, 1, 0, 0, 1, 5)) == 1_000_005
    assert as_micros(dt.datetime(1970, 1, 1, 2, tzinfo=PARIS)) == 0
    assert as_datetime(micros(1.5)).isoformat() == "1970-01-01T00:00:01.500000+00:00"


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, 0), (1, 10**6), (0.0000014, 1), (-2, -2_000_000)]
)
def test_seconds_as_microseconds(seconds: float, expected: int) -> None:
    assert micros(seconds) == expected
    assert type(micros(seconds)) is int


def test_an_owner_is_read_back_without_its_name_for_people() -> None:
    owner = Owner("boot-1", "4026531836", 17, 99, "worker@host/1")
    assert Owner.parse(str(owner)) == Owner("boot-1", "4026531836", 17, 99)
    assert Owner.parse(str(Owner("", "", 1, 0))) == Owner("", "", 1, 0)


@pytest.mark.parametrize("text", ["", "a", "a/b/c/d", "a/b/1/2/3", "a/b/1", "a/b/1/x"])
def test_what_is_no_owner_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        Owner.parse(text)
