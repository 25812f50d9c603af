"""A queue that is long, and one slot: few messages in vain, and no long pause after a loss."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from polos import PolosClient
from tests.acceptance.backlogs import begins, longest_gap, messages, queue_up, rate
from tests.acceptance.conftest import opened
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Stack, Workers
from tests.support.processes import until

pytestmark = pytest.mark.timeout(400)

COUNT = 1000


@pytest.fixture
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Only the one whose broker can be emptied by one command; new for each test."""
    with opened(request, "servers") as made:
        yield made


@pytest.fixture
def client(stack: Stack) -> Iterator[PolosClient]:
    """A client in the test's own process."""
    made = stack.client()
    yield made
    made.close()


@pytest.fixture
def ledger(stack: Stack) -> Ledger:
    """What steps did."""
    return stack.ledger


def done(ledger: Ledger, count: int) -> None:
    until(
        lambda: len(begins(ledger)) >= count,
        300,
        every=0.5,
        message=lambda: f"{len(begins(ledger))} of {count}",
    )


def test_where_nothing_is_lost_nearly_each_gets_one_message(
    worker: Workers, client: PolosClient, ledger: Ledger
) -> None:
    # Each is due to be sent again, for as long as it lies in the queue.
    hints = queue_up(client, COUNT)
    one_slot = worker(slots=1)
    done(ledger, COUNT)
    until(lambda: set(messages(one_slot)) == {hint.execution_id for hint in hints}, 60)
    got = messages(one_slot)
    assert sum(got.values()) <= 2 * COUNT
    assert sum(count == 1 for count in got.values()) >= 0.9 * COUNT
    assert max(got.values()) <= 3


def test_after_a_loss_no_slot_stays_free_for_long(
    worker: Workers, stack: Stack, client: PolosClient, ledger: Ledger
) -> None:
    queue_up(client, COUNT)
    worker(slots=1)
    done(ledger, COUNT // 5)
    assert stack.redis is not None
    stack.redis.flush()
    before = begins(ledger)
    done(ledger, COUNT)
    after = begins(ledger)
    assert len(after) == len({entry.execution for entry in after}) == COUNT
    assert longest_gap(after) < 10
    # In the end the slot is as busy as before; another half is for a machine that is busy, too.
    assert rate(after[-COUNT // 4 :]) > rate(before) / 4
