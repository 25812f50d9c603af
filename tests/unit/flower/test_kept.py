"""Figures that are worked out in the background, once for all who ask."""

from __future__ import annotations

import asyncio

import pytest

from polos.flower.kept import Kept


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Work:
    """Gives 1, 2, 3 …, each when it is let."""

    def __init__(self) -> None:
        self.begun = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        await self.gate.wait()
        return number


def test_it_is_worked_out_once_for_all_who_ask() -> None:
    async def ask() -> None:
        values: Kept[int] = Kept(fresh=10, stale=100)
        work = Work()
        found = await asyncio.gather(*(values.get("key", work) for _ in range(5)))
        assert found == [1] * 5
        assert await values.get("other", work) == 2

    asyncio.run(ask())


def test_what_is_no_longer_fresh_is_given_while_it_is_worked_out_anew() -> None:
    async def ask() -> None:
        clock = Clock()
        values: Kept[int] = Kept(fresh=10, stale=100, clock=clock)
        work = Work()
        await values.get("key", work)
        clock.now = 11
        assert await values.get("key", work) == 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await values.get("key", work) == 2
        clock.now = 112
        assert await values.get("key", work) == 3

    asyncio.run(ask())


def test_who_gives_up_gets_nothing_and_the_work_goes_on() -> None:
    async def ask() -> None:
        values: Kept[int] = Kept(fresh=10, stale=100)
        work = Work()
        work.gate.clear()
        assert await values.within(0.001, "key", work) is None
        assert await values.within(0.001, "key", work) is None
        work.gate.set()
        found = await values.within(10, "key", work)
        assert (found, work.begun) == (1, 1)

    asyncio.run(ask())


def test_what_fails_is_tried_again_and_hides_no_older_value() -> None:
    async def fail() -> int:
        raise ValueError("no figures")

    async def ask() -> None:
        clock = Clock()
        values: Kept[int] = Kept(fresh=10, stale=100, clock=clock)
        with pytest.raises(ValueError, match="no figures"):
            await values.get("key", fail)
        assert await values.get("key", Work()) == 1
        clock.now = 11
        assert await values.get("key", fail) == 1
        await asyncio.sleep(0)
        assert await values.get("key", fail) == 1

    asyncio.run(ask())


def test_only_so_many_are_kept() -> None:
    async def ask() -> None:
        values: Kept[int] = Kept(fresh=10, stale=100, most=2)
        work = Work()
        for key in "abac":
            await values.get(key, work)
        assert await values.get("a", work) == 1
        assert await values.get("b", work) == 4

    asyncio.run(ask())
