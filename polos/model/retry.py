"""When a failed step is tried again, and after how long."""

from __future__ import annotations

import random
from dataclasses import dataclass

from polos.errors import ConfigurationError

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
        if self.max_retries < 0:
            raise ConfigurationError(f"max_retries is {self.max_retries}; it can't be negative")
        if self.base_delay < 0 or self.max_delay < 0:
            raise ConfigurationError("base_delay and max_delay are seconds and can't be negative")
        if not 0 <= self.jitter <= 1:
            raise ConfigurationError(f"jitter is {self.jitter}; it goes from 0 to 1")
        if self.timeout is not None and self.timeout <= 0:
            raise ConfigurationError(f"timeout is {self.timeout} s; it must be positive, or None")

    def again(self, error: BaseException, failed_attempts: int) -> bool:
        """Whether to try again after so many failed attempts, this error being the last."""
        if failed_attempts > self.max_retries or isinstance(error, self.no_retry_on):
            return False
        return self.retry_on is None or isinstance(error, self.retry_on)

    def delay(self, failed_attempts: int) -> float:
        """Seconds to wait after the given number of failed attempts, at least 1."""
        # 2.0**1024 overflows; the cap is reached long before.
        exponent = min(failed_attempts - 1, 64)
        full = min(self.base_delay * 2.0**exponent, self.max_delay)
        return full * (1 - self.jitter * random.random())
