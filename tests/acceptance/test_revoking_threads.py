"""Revoking in a pool that can't terminate what it runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery.exceptions import TaskRevokedError

from tests.acceptance.conftest import opened
from tests.acceptance.market import long
from tests.acceptance.markets import Market, open_market
from tests.acceptance.stacks import Stack, Workers


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Only the one with a result backend."""
    with opened(request, "servers") as made:
        yield made


@pytest.fixture(scope="module")
def market(stack: Stack, workers: Workers) -> Iterator[Market]:
    """The project, with a worker of threads."""
    with open_market(stack, workers) as made:
        made.worker(pool="threads")
        yield made


@pytest.mark.parametrize("terminate", [False, True])
def test_it_is_cancelled_and_cleans_up(market: Market, terminate: bool) -> None:
    result = long.delay({})
    market.ledger.wait_for(result.id, "long")
    market.app.control.revoke(result.id, terminate=terminate)
    with pytest.raises(TaskRevokedError, match="was cancelled"):
        result.get(timeout=60)
    assert market.ledger.runs(result.id) == {"long": 1, "clean up": 1}
