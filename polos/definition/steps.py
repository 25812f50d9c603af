"""``ctx.step`` of an ``async def`` workflow: what makes its work durable."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload
from uuid import NAMESPACE_OID, uuid5

from polos.codec.values import MAX_VALUE_BYTES
from polos.definition.children import ChildRequests
from polos.definition.names import check_key
from polos.definition.registry import Registry, registry
from polos.definition.step_function import (
    check_function,
    check_plain,
    check_timeout,
    error_types,
    is_async,
)
from polos.definition.task_steps import TaskSteps
from polos.errors import StepExecutionError
from polos.model.ports import Effects
from polos.model.records import Kind, Micros, StepRequest, as_micros, micros
from polos.model.retry import Errors, RetryPolicy

T = TypeVar("T")

# What nearly all steps are called with, looked at once.
_DEFAULTS = (2, 1.0, 10.0, None, (), None, 0.0)
_POLICY = RetryPolicy(*_DEFAULTS)
_LONGEST_WAIT = 36_525 * 86_400  # seconds


class Steps(TaskSteps):
    """Durable operations. Each has a key that no other step of the execution has.

    What a step came to is recorded under its key. When the execution goes on, after a crash, a
    deploy or a wait, a recorded step gives its value again and is not repeated.

    Args:
        effects: the engine.
        execution_id: the execution; ``uuid`` and ``random`` derive from it.
        known: where the ids of workflows are looked up.
        max_value_bytes: the most bytes that a child's payload or state may take.
    """

    def __init__(
        self,
        effects: Effects,
        execution_id: str,
        known: Registry = registry,
        max_value_bytes: int = MAX_VALUE_BYTES,
    ) -> None:
        super().__init__(effects, ChildRequests(known, max_value_bytes))
        self._execution_id = execution_id

    @overload
    async def run(
        self,
        key: str,
        func: Callable[..., Awaitable[T]],
        *args: Any,
        max_retries: int = 2,
        base_delay: float = 1.0,
        max_delay: float = 10.0,
        retry_on: Errors | None = None,
        no_retry_on: Errors = (),
        timeout: float | None = None,
        jitter: float = 0.0,
        **kwargs: Any,
    ) -> T: ...

    @overload
    async def run(
        self,
        key: str,
        func: Callable[..., T],
        *args: Any,
        max_retries: int = 2,
        base_delay: float = 1.0,
        max_delay: float = 10.0,
        retry_on: Errors | None = None,
        no_retry_on: Errors = (),
        timeout: float | None = None,
        jitter: float = 0.0,
        **kwargs: Any,
    ) -> T: ...

    async def run(  # noqa: PLR0913
        self,
        key: str,
        func: Callable[..., Any],
        *args: Any,
        max_retries: int = 2,
        base_delay: float = 1.0,
        max_delay: float = 10.0,
        retry_on: Errors | None = None,
        no_retry_on: Errors = (),
        timeout: float | None = None,
        jitter: float = 0.0,
        **kwargs: Any,
    ) -> Any:
        """Call a function and record what it returns.

        The function may be ``async def``, plain, or a lambda. When it raises, it is called again
        after ``min(base_delay * 2**n, max_delay)`` seconds, up to ``max_retries`` times.

        Example::

            charge = await ctx.step.run("charge", charge_card, order, max_retries=5)

        Args:
            key: the step's key.
            func: the function; hand it over, don't call it.
            args: what it is called with.
            max_retries: further attempts after the first.
            base_delay: seconds before the first retry.
            max_delay: the most seconds before a retry.
            retry_on: try again only after these exceptions; by default after every ``Exception``.
            no_retry_on: never try again after these.
            timeout: seconds that one attempt of an async function may take; None is no limit.
            jitter: the part of a delay that is drawn at random, from 0 to 1.
            kwargs: what it is called with, by name.

        Raises:
            StepExecutionError: the last attempt failed.
            DuplicateStepKey: the key was used before in this execution.
            TypeError: ``func`` can't be called.
            ValueError: the key or a number is not acceptable.
        """
        check_key(key)
        check_function(key, func)
        check_timeout(key, func, timeout)
        given = (max_retries, base_delay, max_delay, retry_on, no_retry_on, timeout, jitter)
        policy = _POLICY if given == _DEFAULTS else _policy(*given)
        request = StepRequest(key, func, args, kwargs, policy, is_async(func))
        return await self._effects.run(request)

    async def transaction(  # noqa: PLR0913
        self,
        key: str,
        func: Callable[..., T],
        *args: Any,
        max_retries: int = 2,
        base_delay: float = 1.0,
        max_delay: float = 10.0,
        retry_on: Errors | None = None,
        no_retry_on: Errors = (),
        jitter: float = 0.0,
        **kwargs: Any,
    ) -> T:
        """Call a function whose writes are committed together with the step: exactly once.

        ``func(connection, *args)`` gets a connection to the database in which Polos keeps its
        executions, in a transaction: SQLAlchemy's ``Connection``, or Django's where Polos runs on
        Django's database. What it writes there and the step's value are committed as one, by the
        holder of the lease only. When it raises, all of it is rolled back, and it is called again
        as ``run`` does; after a deadlock it begins anew at once, which doesn't count.

        The function must not commit or roll back. What it does elsewhere is no part of it, nor is
        a start of a workflow without ``connection=connection``. Keep it short: rows stay locked
        while it runs, and with SQLite nobody else can write at all.

        Example::

            def debit(connection: Connection, account: str, amount: int) -> int:
                statement = update(accounts).where(accounts.c.id == account)
                connection.execute(statement.values(balance=accounts.c.balance - amount))
                return amount

            await ctx.step.transaction("debit", debit, order.account, order.amount)

        Args:
            key: the step's key.
            func: a plain function; its first argument is the connection.
            args: what it is called with after that.
            max_retries: as in ``run``, and so are those that follow.
            base_delay: seconds before the first retry.
            max_delay: the most seconds before a retry.
            retry_on: try again only after these exceptions.
            no_retry_on: never try again after these.
            jitter: the part of a delay that is drawn at random, from 0 to 1.
            kwargs: what it is called with, by name.

        Raises:
            StepExecutionError: the last attempt failed, or the function has ended the transaction.
            DuplicateStepKey: the key was used before in this execution.
            TypeError: ``func`` can't be called, or is an ``async def``.
            ValueError: the key or a number is not acceptable.
        """
        check_key(key)
        check_function(key, func)
        check_plain(key, func)
        policy = _policy(max_retries, base_delay, max_delay, retry_on, no_retry_on, None, jitter)
        request = StepRequest(key, func, args, kwargs, policy, kind=Kind.TRANSACTION)
        value: T = await self._effects.run(request)
        return value

    async def wait_for(
        self,
        key: str,
        seconds: float = 0,
        minutes: float = 0,
        hours: float = 0,
        days: float = 0,
        weeks: float = 0,
    ) -> None:
        """Wait durably for a length of time, the sum of its parts; no worker is held meanwhile.

        Example::

            await ctx.step.wait_for("cooldown", hours=1, minutes=30)

        Args:
            key: the step's key.
            seconds: a part of it, and so are those that follow; parts of them may be fractions.
            minutes: of 60 seconds.
            hours: of 60 minutes.
            days: of 24 hours, whatever the clocks of a place do.
            weeks: of 7 days.

        Raises:
            StepExecutionError: the sum is not positive, or is over 100 years.
            TypeError: a part is no number.
            DuplicateStepKey: the key was used before in this execution.
        """
        check_key(key)
        try:
            total = seconds + 60 * minutes + 3600 * hours + 86_400 * days + 604_800 * weeks
        except TypeError:
            raise TypeError(
                f"step {key!r} is to wait for what is no number; pass seconds=90 or hours=1.5"
            ) from None
        if not 0 < total <= _LONGEST_WAIT:  # which nan and inf aren't either
            raise StepExecutionError(
                f"wait_for was given {total} s; pass more than 0 and at most 100 years", key
            )
        length = micros(total)
        await self._effects.wait_until(key, lambda: Micros(self._effects.now() + length))

    async def wait_until(self, key: str, datetime: dt.datetime) -> None:
        """Wait durably for a moment; one in the past returns at once.

        Example::

            await ctx.step.wait_until("opening", datetime(2030, 1, 1, 9, tzinfo=UTC))

        Args:
            key: the step's key.
            datetime: the moment; without a zone it means UTC.

        Raises:
            TypeError: ``datetime`` is none.
            DuplicateStepKey: the key was used before in this execution.
        """
        check_key(key)
        if not isinstance(datetime, dt.datetime):
            raise TypeError(
                f"step {key!r} is to wait until a {type(datetime).__name__}; pass a datetime"
            )
        moment = as_micros(datetime)
        await self._effects.wait_until(key, lambda: moment)

    async def uuid(self, key: str) -> str:
        """A UUID, the same on every replay.

        Example::

            confirmation = await ctx.step.uuid("confirmation")

        Args:
            key: the step's key.

        Returns:
            Text such as ``"3f0c…"``, 36 characters.

        Raises:
            DuplicateStepKey: the key was used before in this execution.
            ValueError: the key is not acceptable.
        """
        check_key(key)
        seed = f"{self._execution_id}\0uuid\0{key}"
        drawn: str = self._effects.record(key, Kind.UUID, lambda: str(uuid5(NAMESPACE_OID, seed)))
        return drawn

    async def random(self, key: str) -> float:
        """A number from 0 up to, but without, 1, the same on every replay.

        Example::

            if await ctx.step.random("sampled") < 0.1: ...

        Args:
            key: the step's key.

        Raises:
            DuplicateStepKey: the key was used before in this execution.
        """
        check_key(key)
        seed = f"{self._execution_id}\0random\0{key}"
        drawn: float = self._effects.record(key, Kind.RANDOM, lambda: _fraction(seed))
        return drawn

    async def now(self, key: str) -> int:
        """The time, by the database's clock, the same on every replay.

        Example::

            ordered_at = await ctx.step.now("ordered_at")

        Args:
            key: the step's key.

        Returns:
            Milliseconds since 1970, UTC.

        Raises:
            DuplicateStepKey: the key was used before in this execution.
        """
        check_key(key)
        read: int = self._effects.record(key, Kind.NOW, lambda: self._effects.now() // 1000)
        return read


def _policy(  # noqa: PLR0913
    max_retries: int,
    base_delay: float,
    max_delay: float,
    retry_on: Errors | None,
    no_retry_on: Errors,
    timeout: float | None,
    jitter: float,
) -> RetryPolicy:
    return RetryPolicy(
        max_retries=max_retries,
        base_delay=base_delay,
        max_delay=max_delay,
        retry_on=None if retry_on is None else error_types("retry_on", retry_on),
        no_retry_on=error_types("no_retry_on", no_retry_on),
        timeout=timeout,
        jitter=jitter,
    )


def _fraction(seed: str) -> float:
    digest = hashlib.sha256(seed.encode()).digest()
    # As many bits as a float holds exactly, so that 1.0 is never reached by rounding.
    return (int.from_bytes(digest[:8]) >> 11) / 2**53
