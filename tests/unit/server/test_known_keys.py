"""Keys are looked up once in a while, and what was revoked is not remembered for long."""

from __future__ import annotations

import asyncio

from polos.model.keys import ApiKey
from polos.model.records import Micros
from polos.server import known_keys
from polos.server.known_keys import KnownKeys


class Database:
    """What is asked, at which time."""

    def __init__(self) -> None:
        self.time = 100.0
        self.asked = 0
        self.valid = {"key"}
        self.keys = KnownKeys(self.ask, lambda: self.time)

    async def ask(self, key: str) -> ApiKey | None:
        self.asked += 1
        return ApiKey(key, "shop", "ci", Micros(1)) if key in self.valid else None

    def opens(self, key: str = "key") -> bool:
        return asyncio.run(self.keys.opened_by(key)) is not None


def test_a_key_is_asked_for_once_in_five_seconds() -> None:
    database = Database()
    for database.time in (100.0, 101.0, 104.9):
        assert database.opens()
    assert database.asked == 1
    database.time = 105.0
    assert database.opens()
    assert database.asked == 2


def test_a_revoked_key_opens_nothing_after_five_seconds() -> None:
    database = Database()
    assert database.opens()
    database.valid.clear()
    database.time += 5
    assert not database.opens()
    # Time that goes back, or an answer that came late, must not bring it back.
    database.time -= 5
    assert not database.opens()


def test_what_opens_nothing_is_asked_for_each_time() -> None:
    database = Database()
    assert not database.opens("new")
    database.valid.add("new")
    assert database.opens("new")


def test_no_more_are_remembered_than_fit() -> None:
    database = Database()
    keys = [f"key {number}" for number in range(known_keys._MOST + 5)]
    database.valid.update(keys)
    assert all(map(database.opens, keys))
    for number in range(2 * known_keys._MOST):
        assert not database.opens(f"wrong {number}")
    assert len(database.keys._found) == known_keys._MOST
    asked = database.asked
    assert database.opens(keys[-1])
    assert database.asked == asked
    assert database.opens(keys[0])
    assert database.asked == asked + 1
