"""Celery tasks as steps, with real workers, and without a result backend but where it says so."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from polos import ExecutionHandle, PolosClient
from polos.codec import encode_payload
from polos.model.ports import StartRequest
from tests.acceptance.conftest import opened
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Stack, Workers, wait_for_status
from tests.support.processes import Program, until


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    with opened(request, "servers") as made:
        yield made


class Shop:
    """Starts its workers and its orders."""

    def __init__(self, stack: Stack, workers: Workers, client: PolosClient) -> None:
        self._stack = stack
        self._workers = workers
        self._client = client

    def worker(self, pool: str = "prefork", slots: int = 2, **given: Any) -> Program:
        env = {"SHOP_BROKER": self._stack.broker, "POLOS_BROKER_URL": None}
        env |= {"CELERY_RESULT_BACKEND": None, "POLOS_DATABASE_URL": None}
        env |= {"SHOP_DATABASE": self._stack.database} | given.pop("env", {})
        return self._workers(pool, slots, app="tests.acceptance.shop", env=env, **given)

    def plain_worker(self, **given: Any) -> Program:
        """One without Polos, for the queue ``elsewhere``."""
        env = {"SHOP_DATABASE": None} | given.pop("env", {})
        return self.worker(args=("-Q", "elsewhere"), env=env, name="plain", **given)

    def order(self, what: str, flow: str = "shop-order", **payload: Any) -> ExecutionHandle[Any]:
        data = encode_payload({"what": what, **payload}, 10_000)
        request = StartRequest(flow, data, queue="shop")
        return ExecutionHandle.of(self._client.start(request), self._client, Any)


@pytest.fixture(scope="module")
def shop(stack: Stack, workers: Workers, client: PolosClient) -> Shop:
    return Shop(stack, workers, client)


@pytest.fixture(scope="module", params=["prefork", "threads", "gevent"])
def running(request: pytest.FixtureRequest, shop: Shop, workers: Workers) -> Program:
    workers.close()
    return shop.worker(request.param, 3)


KEPT = {
    "charge": {"amount": 42, "lines": [1, 2]},
    "flaky": "after 2",
    "by hand": "at last",
    "group": [0, 2, 4],
    "chain": 12,
    "replaced": 6,
}
FAILED = {
    "fail": ["failed", "tests.acceptance.shop.OutOfStock", "no tea", 1],
    "too flaky": ["failed", "ConnectionError", "not yet", 4],
    "failing group": ["failed", "tests.acceptance.shop.OutOfStock", "no tea", 1],
    "failing chain": ["failed", "tests.acceptance.shop.OutOfStock", "no tea", 1],
    "ignoring": [
        "failed",
        "celery.exceptions.Ignore",
        "the task ended with Ignore, which leaves no result",
        1,
    ],
    "rejecting": ["failed", "celery.exceptions.Reject", "the task rejected its message: no", 1],
}


@pytest.fixture(scope="module")
def ordered(running: Program, shop: Shop) -> dict[str, ExecutionHandle[Any]]:
    """All of them at once."""
    return {what: shop.order(what, pause=0.6) for what in (*KEPT, *FAILED)}


@pytest.mark.parametrize("what", [*KEPT, *FAILED])
def test_what_a_task_comes_to(
    ordered: dict[str, ExecutionHandle[Any]], ledger: Ledger, what: str
) -> None:
    handle, expected = ordered[what], (KEPT | FAILED)[what]
    # After a wait its function ran again, and was told the same.
    assert handle.result_sync(60) == expected
    assert [entry.text for entry in ledger.entries(handle.id, "told", "end")] == [repr(expected)]


def test_in_a_plain_function(running: Program, shop: Shop, ledger: Ledger) -> None:
    handle = shop.order("group", flow="shop-sync-order")
    assert handle.result_sync(60) == [[0, 2, 4], "done"]
    assert ledger.runs(handle.id) == {"add": 3, "after": 1}


@pytest.mark.parametrize(
    ("what", "kind", "text"),
    [
        ("unkeepable", "TypeError", "what the task returned can't be kept"),
        ("unsendable", "kombu.exceptions.EncodeError", "not JSON serializable"),
        ("chord", "polos.errors.ConfigurationError", "set result_backend"),
    ],
)
def test_what_can_not_be_sent_or_kept(
    running: Program, shop: Shop, what: str, kind: str, text: str
) -> None:
    failed, error_type, reason, _ = shop.order(what).result_sync(60)
    assert (failed, error_type) == ("failed", kind)
    assert text in reason


def test_a_task_that_is_killed_for_its_time_limit(shop: Shop, workers: Workers) -> None:
    """Its process can tell nobody: the worker's main process does."""
    workers.close()
    shop.worker("prefork", 2)
    found = shop.order("limited").result_sync(60)
    assert found == ["failed", "billiard.exceptions.TimeLimitExceeded", "TimeLimitExceeded(1,)", 1]


def test_a_task_whose_worker_is_killed_runs_again(
    shop: Shop, workers: Workers, ledger: Ledger
) -> None:
    """It has acks_late: its message comes again, and with it what tells of its end."""
    workers.close()
    first = shop.worker("prefork", 2)
    handle = shop.order("slow")
    [begun] = ledger.wait_for(handle.id, "slow")
    wait_for_status(handle, "waiting")
    os.kill(begun.pid, signal.SIGKILL)
    ledger.wait_for(handle.id, "slow", times=2)
    ledger.open_gate(handle.id)
    assert handle.result_sync(60) == "slow and sure"
    assert first.running
    assert ledger.runs(handle.id) == {"slow": 2, "told": 1}


def test_an_execution_whose_worker_is_killed_waits_on(
    shop: Shop, workers: Workers, ledger: Ledger
) -> None:
    """The task runs elsewhere; it is neither lost nor sent again."""
    workers.close()
    first = shop.worker("prefork", 2)
    shop.plain_worker()
    handle = shop.order("slow elsewhere")
    ledger.wait_for(handle.id, "slow")
    wait_for_status(handle, "waiting")
    first.kill(group=True)
    first.wait()
    ledger.open_gate(handle.id)
    ledger.wait_for(handle.id, "slow", "end")
    shop.worker("prefork", 2)
    assert handle.result_sync(60) == "slow and sure"
    assert ledger.runs(handle.id) == {"slow": 1, "told": 1}


@pytest.fixture(scope="module")
def with_others(shop: Shop, workers: Workers) -> Program:
    """A worker with Polos, and one without it on a queue of its own."""
    workers.close()
    shop.plain_worker()
    return shop.worker("threads", 2)


def test_a_worker_without_polos(with_others: Program, shop: Shop, ledger: Ledger) -> None:
    handle = shop.order("elsewhere")
    assert handle.result_sync(60) == KEPT["charge"]
    assert ledger.runs(handle.id) == {"charge 42": 1, "told": 1}


def test_a_failure_in_a_worker_without_polos(with_others: Program, shop: Shop) -> None:
    """Celery's message of it names the task alone."""
    failed, error_type, reason, _ = shop.order("failing elsewhere").result_sync(60)
    assert (failed, error_type) == ("failed", "unknown")
    assert "failed in a worker without Polos" in reason


def test_a_timeout_and_a_late_end(with_others: Program, shop: Shop, ledger: Ledger) -> None:
    handle = shop.order("slow elsewhere", timeout=4, pause=2)
    ledger.wait_for(handle.id, "told", "end")
    ledger.open_gate(handle.id)
    ledger.wait_for(handle.id, "slow", "end")
    found = handle.result_sync(60)
    assert found == ["failed", "TimeoutError", "it had not ended within its timeout of 4 s", 1]
    assert ledger.runs(handle.id) == {"slow": 1, "told": 1}


def test_cancelling_revokes_what_has_not_begun(
    shop: Shop, workers: Workers, ledger: Ledger, client: PolosClient
) -> None:
    workers.close()
    shop.worker("threads", 2)
    # It has no more than one message at a time.
    one = ("-Q", "elsewhere", "--prefetch-multiplier=1")
    elsewhere = shop.worker("threads", 1, args=one, name="busy")
    busy = shop.order("slow elsewhere")
    ledger.wait_for(busy.id, "slow")
    handle = shop.order("elsewhere")
    wait_for_status(handle, "waiting")
    assert client.cancel(handle.id)
    wait_for_status(handle, "cancelled")
    elsewhere.wait_for("flagged as revoked")
    ledger.open_gate(busy.id)
    assert busy.result_sync(60) == "slow and sure"
    elsewhere.wait_for("Discarding revoked task")
    assert ledger.runs(handle.id) == {}


def test_a_task_that_expires(shop: Shop, workers: Workers) -> None:
    workers.close()
    shop.worker("threads", 2)
    handle = shop.order("expiring")
    wait_for_status(handle, "waiting")
    time.sleep(0.3)
    shop.worker("threads", 1, args=("-Q", "elsewhere"))
    found = handle.result_sync(60)
    assert found == ["failed", "celery.exceptions.TaskRevokedError", "the task expired", 1]


def test_a_lost_task_is_sent_again(
    stack: Stack, shop: Shop, workers: Workers, ledger: Ledger
) -> None:
    workers.close()
    sender = shop.worker("threads", 2)
    handle = shop.order("elsewhere", resend_after=2)
    assert stack.redis is not None
    redis = stack.redis
    until(lambda: redis.command("LLEN elsewhere") != ":0", 60)
    redis.flush()
    until(lambda: redis.command("LLEN elsewhere") != ":0", 60)
    shop.plain_worker()
    assert handle.result_sync(60) == KEPT["charge"]
    # It is sent every two seconds until it has ended, however long a worker takes to start.
    sent = sender.text().count(f"execution={handle.id} step=task: task ")
    runs = ledger.runs(handle.id)
    assert sent >= 2
    assert 1 <= runs.pop("charge 42") < sent
    assert runs == {"told": 1}


def test_with_a_result_backend(stack: Stack, shop: Shop, workers: Workers, ledger: Ledger) -> None:
    """Then chords go, and what failed in a worker without Polos can be looked up."""
    workers.close()
    shop.worker("prefork", 3, env={"SHOP_BACKEND": stack.broker})
    shop.plain_worker(env={"SHOP_BACKEND": stack.broker})
    orders = [shop.order(it) for it in ("chord", "failing chord", "failing elsewhere")]
    found = [handle.result_sync(60) for handle in orders]
    assert found[0] == 6
    assert found[1] == FAILED["fail"]
    # Celery stores it as the text of an exception that it can't bring back.
    assert found[2][:3] == ["failed", "tests.acceptance.shop.OutOfStock", "OutOfStock('no tea')"]
    assert all(ledger.runs(handle.id)["told"] == 1 for handle in orders)
