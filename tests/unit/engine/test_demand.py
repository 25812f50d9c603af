"""How many hints are sent again, for whatever becomes of them."""

from __future__ import annotations

from collections import deque
from itertools import islice

import pytest

from polos.engine.demand import Demand

SLOTS = 4


class Site:
    """A store's queue, a broker's queue and slots; a look each second. All of it is made up.

    Args:
        stored: executions that are due.
        in_broker: of how many of them the broker still has the message.
        a_second: executions that the slots can take in a second.
        delivers: whether messages reach the slots.
    """

    def __init__(
        self, stored: int, in_broker: int, a_second: int, slots: int = SLOTS, delivers: bool = True
    ) -> None:
        self.demand = Demand()
        self.due = dict.fromkeys(f"e{number}" for number in range(stored))
        self.queued = set(self.due)
        self.broker = deque(list(self.due)[:in_broker])
        self.a_second, self.slots, self.delivers = a_second, slots, delivers
        self.messages = in_broker
        self.claims = 0
        self.now = 0.0

    def second(self, idle: int | None = None) -> int:
        """Work for a second, then look; how many hints were sent. ``idle``: a false report."""
        left = self.a_second
        while self.delivers and left and self.broker:
            left -= self._take(self.broker.popleft())
        self.now += 1
        seen = (self.slots if left else 0) if idle is None else idle
        wanted = self.demand.wanted(seen, self.queued, self.now)
        ids = list(islice(self.due, wanted))
        for id_ in ids:
            # Sent again, they are due again later: here, behind all others.
            del self.due[id_]
            self.due[id_] = None
        self.demand.sent(ids, self.now)
        self.broker.extend(ids)
        self.messages += len(ids)
        return len(ids)

    def _take(self, id_: str) -> int:
        if id_ not in self.queued:
            return 0
        self.queued.remove(id_)
        del self.due[id_]
        self.claims += 1
        return 1


def test_an_idle_slot_gets_a_few_hints_at_first() -> None:
    assert Site(stored=100, in_broker=0, a_second=1000, slots=1).second() == 4
    assert Site(stored=100, in_broker=0, a_second=1000, slots=8).second() == 32


def test_busy_slots_get_none() -> None:
    assert Demand().wanted(0, (), 1.0) == 0


def test_after_a_loss_hints_double_for_as_long_as_slots_are_idle() -> None:
    site = Site(stored=20_000, in_broker=0, a_second=1000, slots=1)
    assert [site.second() for _ in range(9)] == [4, 8, 16, 32, 64, 128, 256, 512, 1000]


@pytest.mark.parametrize(("a_second", "used"), [(1, 0.9), (10, 0.9), (150, 0.9), (1000, 0.5)])
def test_after_a_loss_no_slot_is_idle_for_long(a_second: int, used: float) -> None:
    site = Site(stored=30_000, in_broker=0, a_second=a_second)
    for _ in range(10):
        site.second()
    before = site.claims
    for _ in range(20):
        site.second()
    # Slots that drain a whole batch within a second are idle until the next look.
    assert site.claims - before >= 20 * a_second * used
    assert site.messages <= site.claims + max(1000, 4 * SLOTS)


def test_in_a_long_queue_idle_moments_send_few_doubles() -> None:
    site = Site(stored=20_000, in_broker=20_000, a_second=50)
    doubles = [site.second(idle=1 if number % 3 == 0 else 0) for number in range(300)]
    assert max(doubles) <= 50
    assert sum(doubles) <= site.claims / 2


def test_however_wrong_the_reports_hints_stay_below_claims() -> None:
    """A worker that is cut off from the broker says that it is idle, always."""
    site = Site(stored=20_000, in_broker=20_000, a_second=50)
    for _ in range(300):
        site.second(idle=SLOTS)
    assert site.claims > 300 * 50 * 0.9
    assert site.messages - 20_000 <= site.claims


def test_hints_that_nobody_claims_become_few() -> None:
    site = Site(stored=20_000, in_broker=0, a_second=50, delivers=False)
    sent = [site.second() for _ in range(600)]
    assert sent[0] == 16
    assert sum(sent) <= 350
    assert sum(sent[60:]) <= 540 / 2


def test_hints_that_are_lost_again_are_followed_by_others() -> None:
    site = Site(stored=1000, in_broker=0, a_second=100)
    for _ in range(4):
        site.second()
    site.broker.clear()
    before = site.claims
    for _ in range(10):
        site.second()
    assert site.claims - before > 100


def test_a_batch_that_busy_slots_have_not_come_to_is_not_in_vain() -> None:
    demand = Demand()
    assert demand.wanted(2, (), 0.0) == 8
    demand.sent("abcdefgh", 0.0)
    for second in range(1, 30):
        assert demand.wanted(0, "defgh", float(second)) == 0
    # Three were claimed, five are under way: the window is eleven.
    assert demand.wanted(2, "defgh", 30.0) == 6


def test_a_wide_window_closes_when_work_comes_by_itself() -> None:
    site = Site(stored=5000, in_broker=0, a_second=1000)
    for _ in range(8):
        site.second()
    site.broker.extend(id_ for id_ in site.due if id_ not in site.broker)
    for _ in range(12):
        site.second(idle=0)
    assert site.second(idle=1) <= 8


def test_what_is_forgotten_is_not_asked_for() -> None:
    demand = Demand()
    demand.sent(["a", "b"], 0.0)
    assert set(demand.under_way) == {"a", "b"}
    demand.wanted(1, {"b"}, 1.0)
    assert set(demand.under_way) == {"b"}
    demand.wanted(1, {"b"}, 5.0)
    assert set(demand.under_way) == set()
