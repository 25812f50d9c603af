"""Results that come back as messages, ``rpc://``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from polos import StepExecutionError
from tests.acceptance.conftest import opened
from tests.acceptance.market import Order, order, refused
from tests.acceptance.markets import Market, open_market
from tests.acceptance.stacks import Stack, Workers


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Only the one with servers."""
    with opened(request, "servers") as made:
        yield made


@pytest.fixture(scope="module")
def market(stack: Stack, workers: Workers) -> Iterator[Market]:
    """The project, with a worker."""
    with open_market(stack, workers, "rpc://") as made:
        made.worker()
        yield made


def test_the_caller_gets_the_end_of_what_has_waited(market: Market) -> None:
    assert order.delay(Order(name="Ada", seconds=0.7)).get(timeout=60) == {
        "name": "Ada",
        "number": 7,
    }
    with pytest.raises(StepExecutionError, match="the bank is closed"):
        refused.delay({"seconds": 0.7}).get(timeout=60)
