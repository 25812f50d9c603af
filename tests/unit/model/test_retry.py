from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from polos.errors import ConfigurationError
from polos.model.retry import RetryPolicy


def test_by_default_a_step_is_tried_three_times() -> None:
    policy = RetryPolicy()
    assert [policy.again(ValueError(), failed) for failed in (1, 2, 3)] == [True, True, False]


def test_no_retries() -> None:
    assert not RetryPolicy(max_retries=0).again(ValueError(), 1)


def test_delays_double_up_to_the_longest() -> None:
    policy = RetryPolicy(max_retries=10, base_delay=1, max_delay=10)
    assert [policy.delay(failed) for failed in (1, 2, 3, 4, 5, 6)] == [1, 2, 4, 8, 10, 10]


@pytest.mark.parametrize("failed", [64, 65, 1_000, 1_000_000])
def test_many_attempts_do_not_overflow(failed: int) -> None:
    assert RetryPolicy(base_delay=0.001).delay(failed) == 10
    assert RetryPolicy(base_delay=0).delay(failed) == 0


def test_jitter_only_shortens() -> None:
    delays = [RetryPolicy(base_delay=8, jitter=0.25).delay(1) for _ in range(200)]
    assert all(6 <= delay <= 8 for delay in delays)
    assert len(set(delays)) > 100
    assert max(delays) - min(delays) > 1
    assert {RetryPolicy(base_delay=8, jitter=0).delay(1) for _ in range(20)} == {8}


@pytest.mark.parametrize(
    ("options", "error", "again"),
    [
        ({"retry_on": ValueError}, ValueError(), True),
        ({"retry_on": ValueError}, UnicodeError(), True),
        ({"retry_on": ValueError}, KeyError(), False),
        ({"retry_on": (ValueError, KeyError)}, KeyError(), True),
        ({"no_retry_on": KeyError}, KeyError(), False),
        ({"no_retry_on": (KeyError, ValueError)}, ValueError(), False),
        ({"no_retry_on": LookupError}, KeyError(), False),
        ({"no_retry_on": KeyError}, ValueError(), True),
        ({"retry_on": LookupError, "no_retry_on": KeyError}, KeyError(), False),
        ({"retry_on": LookupError, "no_retry_on": KeyError}, IndexError(), True),
    ],
)
def test_which_errors_are_tried_again(
    options: dict[str, Any], error: Exception, again: bool
) -> None:
    assert RetryPolicy(**options).again(error, 1) is again


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"max_retries": -1}, "max_retries"),
        ({"base_delay": -0.1}, "base_delay"),
        ({"max_delay": -1}, "max_delay"),
        ({"jitter": -0.1}, "jitter"),
        ({"jitter": 1.1}, "jitter"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"max_retries": "3"}, "max_retries"),
        ({"max_retries": 1.5}, "max_retries"),
        ({"max_retries": True}, "max_retries"),
        ({"max_retries": None}, "max_retries"),
        ({"base_delay": nan}, "base_delay"),
        ({"base_delay": "1"}, "base_delay"),
        ({"max_delay": nan}, "max_delay"),
        ({"max_delay": None}, "max_delay"),
        ({"jitter": nan}, "jitter"),
        ({"jitter": "a"}, "jitter"),
        ({"timeout": nan}, "timeout"),
        ({"timeout": "1"}, "timeout"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        RetryPolicy(**options)


def test_the_bounds_are_allowed() -> None:
    RetryPolicy(max_retries=0, base_delay=0, max_delay=0, jitter=1, timeout=0.001)


@pytest.mark.parametrize("seconds", [inf, 1e300, 10**400])
def test_a_delay_without_bounds_is_one_that_a_database_holds(seconds: float) -> None:
    policy = RetryPolicy(max_retries=99, base_delay=seconds, max_delay=seconds)
    assert policy.delay(1) == policy.delay(99) == 36_500 * 86_400
    assert RetryPolicy(max_delay=seconds).delay(4) == 8
