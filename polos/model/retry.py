"""When a failed step is tried again, and after how long."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from polos.errors import ConfigurationError
from polos.model.settings import LONGEST_SECONDS

Errors = type[BaseException] | tuple[type[BaseException], ...]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The policy of one step.

    Attributes:
        max_retries: further attempts after the first.
        base_delay: seconds before the first retry; each next one doubles it.
        max_delay: the longest delay in seconds.
        retry_on: only these exceptions are tried again; None means every ``Exception``.
        no_retry_on: these are not, whatever ``retry_on`` says.
        timeout: seconds for one attempt of an async step; None means no limit.
        jitter: the part of a delay that is drawn at random, from 0 (none) to 1 (all of it).
    """

    max_retries: int = 2
    base_delay: float = 1.0
    max_delay: float = 10.0
    retry_on: Errors | None = None
    no_retry_on: Errors = ()
    timeout: float | None = None
    jitter: float = 0.0

    def __post_init__(self) -> None:
        # As they came: nobody but a type checker looked at them.
        retries: Any = self.max_retries
        _check("max_retries", retries, isinstance(retries, int) and retries >= 0, "a whole number")
        for name, seconds in (("base_delay", self.base_delay), ("max_delay", self.max_delay)):
            _check(name, seconds, _is_number(seconds) and seconds >= 0, "seconds")
        if not (_is_number(self.jitter) and 0 <= self.jitter <= 1):
            raise ConfigurationError(f"jitter is {self.jitter!r}; pass a number from 0 to 1")
        if self.timeout is not None and not (_is_number(self.timeout) and self.timeout > 0):
            raise ConfigurationError(
                f"timeout is {self.timeout!r}; pass a positive number of seconds, or None"
            )

    def again(self, error: BaseException, failed_attempts: int) -> bool:
        """Whether to try again after so many failed attempts, this error being the last."""
        if failed_attempts > self.max_retries or isinstance(error, self.no_retry_on):
            return False
        return self.retry_on is None or isinstance(error, self.retry_on)

    def delay(self, failed_attempts: int) -> float:
        """Seconds to wait after the given number of failed attempts, at least 1."""
        # 2.0**1024 overflows; the cap is reached long before.
        exponent = min(failed_attempts - 1, 64)
        base = min(self.base_delay, LONGEST_SECONDS)
        full = min(base * 2.0**exponent, self.max_delay, LONGEST_SECONDS)
        return full * (1 - self.jitter * random.random())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _check(name: str, value: Any, fits: bool, what: str) -> None:
    # Which nan doesn't either.
    if isinstance(value, bool) or not fits:
        raise ConfigurationError(f"{name} is {value!r}; pass {what} from 0 on")
