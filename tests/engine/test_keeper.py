"""When the keeper says that the database is back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from polos.engine.contact import Contact
from polos.engine.keeper import Keeper
from polos.engine.owner import this_process
from polos.errors import StoreUnavailable
from tests.engine.conftest import Engine
from tests.store.scenes import new
from tests.support.processes import until


class Beats(Contact):
    """Counts what the keeper says."""

    def __init__(self) -> None:
        super().__init__()
        self.said = 0

    def made(self) -> None:
        self.said += 1
        super().made()


@pytest.fixture
def beats(engine: Engine) -> Iterator[tuple[Keeper, Beats, list[int]]]:
    contact, asked = Beats(), [0]
    keeper = Keeper(engine.store, 0.03, contact=contact)
    renew = engine.store.renew

    def counted(leases, lease):  # type: ignore[no-untyped-def]
        asked[0] += 1
        return renew(leases, lease)

    engine.store.renew = counted  # type: ignore[method-assign]
    yield keeper, contact, asked
    keeper.stop()


def test_a_beat_that_asked_nothing_is_no_answer(
    beats: tuple[Keeper, Beats, list[int]],
) -> None:
    keeper, contact, asked = beats
    contact.lost(StoreUnavailable("here", "it is away"))
    ticks = threading.Semaphore(0)
    beat = keeper.heartbeat

    def heartbeat() -> bool:
        answered = beat()
        ticks.release()
        return answered

    keeper.heartbeat = heartbeat  # type: ignore[method-assign]
    keeper._ensure_thread()
    for _ in range(3):
        assert ticks.acquire(timeout=20)
    assert (asked[0], contact.said) == (0, 0)


def test_one_that_renewed_a_lease_is(
    engine: Engine, beats: tuple[Keeper, Beats, list[int]]
) -> None:
    keeper, contact, _ = beats
    engine.store.start(new("one"))
    claimed = engine.store.claim("one", "flow", this_process(), 60)
    assert claimed is not None
    with keeper.holding(claimed):
        until(lambda: contact.said > 0)


def test_a_lease_is_renewed_three_times_in_its_length(engine: Engine) -> None:
    """So long it takes at most until a running step hears of a cancellation."""
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) > 2

    threads: list[Callable[[], None]] = []
    keeper = Keeper(engine.store, 15.0, spawn=threads.append)
    keeper._ensure_thread()
    keeper._stop = SimpleNamespace(wait=wait)  # type: ignore[assignment]
    threads[0]()
    assert pauses == [5.0] * 3
