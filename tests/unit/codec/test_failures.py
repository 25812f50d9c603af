from __future__ import annotations

import re
from typing import Any

import pytest

from polos.codec import decode_failure, decode_history, encode, encode_failure, failure_of
from polos.engine.interrupting import call_user
from polos.errors import CodecError, StepExecutionError, UnsupportedType
from polos.model.records import Failure, Micros, Tried


class Odd(Exception):
    """An exception whose own methods raise."""

    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __str__


class Text(str):
    pass


class Wordy(Exception):
    def __str__(self) -> str:
        return Text("words")


def caught(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as raised:
        return raised


@pytest.mark.parametrize(
    "failure",
    [
        Failure("", ""),
        Failure("no \0 and \ud800 and é", "shop.Error", "charge", 3, "Traceback…\n"),
    ],
)
def test_failures_come_back(failure: Failure) -> None:
    data = encode_failure(failure)
    assert b"\0" not in data
    assert decode_failure(data) == failure


def test_fields_of_later_releases_are_left_out() -> None:
    assert decode_failure(b'{"reason":"r","error_type":"E","colour":1}') == Failure("r", "E")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"1", b'{"reason":"x"}', b"\xff"])
def test_damaged_failures(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode_failure(data)


def test_what_an_exception_becomes() -> None:
    failure = failure_of(caught(ValueError("bad")), "charge", 2)
    assert (failure.reason, failure.error_type) == ("bad", "ValueError")
    assert (failure.step_key, failure.attempts) == ("charge", 2)
    assert failure.traceback.endswith("ValueError: bad\n")
    assert "in caught" in failure.traceback


def test_the_name_has_its_module() -> None:
    failure = failure_of(StepExecutionError("x"))
    assert failure.error_type == "polos.errors.StepExecutionError"
    assert failure_of(Odd()).error_type == f"{__name__}.Odd"


def test_an_exception_without_text_has_the_name_of_its_type() -> None:
    assert failure_of(KeyboardInterrupt()).reason == "KeyboardInterrupt"
    assert failure_of(ValueError("")).reason == "ValueError"


def test_an_exception_whose_text_raises() -> None:
    failure = failure_of(caught(Odd()))
    assert failure.reason == "(its text can't be made: ZeroDivisionError)"
    assert "Odd" in failure.traceback
    assert decode_failure(encode_failure(failure)) == failure


def test_text_of_an_own_type_is_plain_text() -> None:
    assert type(failure_of(Wordy()).reason) is str


def test_long_texts_are_cut() -> None:
    def deep(levels: int) -> None:
        if levels:
            deep2(levels - 1)
        raise ValueError("x" * 200_000)

    def deep2(levels: int) -> None:
        deep(levels)

    with pytest.raises(ValueError) as info:
        deep(100)
    failure = failure_of(info.value)
    assert failure.reason.startswith("xxx")
    assert failure.reason.endswith("(200,000 characters)")
    assert len(failure.reason) < 65_000
    assert len(failure.traceback) <= 8_001


def test_causes_and_groups_are_in_the_traceback() -> None:
    group = ExceptionGroup("many", [ValueError("one"), caught(KeyError("two"))])
    group.__cause__ = ValueError("the cause")
    text = failure_of(caught(group)).traceback
    assert "the cause" in text
    assert "KeyError: 'two'" in text


def test_a_traceback_begins_in_the_users_code() -> None:
    def called() -> None:
        raise KeyError("cents")

    with pytest.raises(KeyError) as info:
        call_user(called)
    text = failure_of(_within(info.value)).traceback
    assert text.startswith("Traceback (most recent call last):\n")
    assert "in called" in text
    assert "interrupting.py" not in text


def test_of_what_polos_refuses_the_traceback_ends_in_the_users_code() -> None:
    def called() -> None:
        encode(object())

    with pytest.raises(UnsupportedType) as info:
        call_user(called)
    text = failure_of(_within(info.value)).traceback
    assert re.findall(r"in (\w+)$", text, re.M)[-1] == "called"
    assert "can't be kept" in text


def test_of_a_defect_of_polos_nothing_is_left_out() -> None:
    broken: Any = None
    with pytest.raises(TypeError) as info:
        call_user(broken)
    assert "in call_user" in failure_of(_within(info.value)).traceback


def _within(error: BaseException) -> BaseException:
    """Without the frame of the test, which is not within Polos."""
    assert error.__traceback__ is not None
    return error.with_traceback(error.__traceback__.tb_next)


def test_a_history_may_say_more_than_this_release_knows() -> None:
    data = b'[{"at": 5, "error_type": "E", "reason": "r", "of_a_later_release": 1}]'
    assert decode_history(data) == (Tried(Micros(5), "E", "r"),)
    assert decode_history(b'[{"at": 5}]') == decode_history(b"[7]") == decode_history(b"{") == ()
