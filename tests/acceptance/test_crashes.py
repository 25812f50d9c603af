"""Workers and their processes killed in the middle of a step."""

from __future__ import annotations

import os
import signal
import time
from ast import literal_eval

import psutil
import pytest

from polos import PolosClient
from tests.acceptance import flows
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Workers

FINISHED_ONCE = {"step0": 1, "step1": 1, "slow": 2, "last": 1}


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_another_worker_goes_on_where_one_was_killed(
    worker: Workers, client: PolosClient, ledger: Ledger, pool: str
) -> None:
    victim = worker(pool, name="victim")
    handle = flows.interrupted.start(client)
    ledger.wait_for(handle.id, "slow")
    victim.kill(signal.SIGKILL, group=True)
    victim.wait()
    worker(pool, name="heir")
    ledger.wait_for(handle.id, "slow", times=2)
    ledger.open_gate(handle.id)
    assert handle.result_sync(60) == [0, 1, 2, 3]
    assert ledger.runs(handle.id) == FINISHED_ONCE
    first, second = ledger.entries(handle.id, "slow", "begin")
    assert first.pid != second.pid


def test_a_worker_survives_the_death_of_its_pool_process(
    worker: Workers, client: PolosClient, ledger: Ledger
) -> None:
    survivor = worker("prefork")
    handle = flows.interrupted.start(client)
    [begun] = ledger.wait_for(handle.id, "slow")
    assert psutil.Process(begun.pid).ppid() == survivor.pid
    os.kill(begun.pid, signal.SIGKILL)
    ledger.wait_for(handle.id, "slow", times=2)
    ledger.open_gate(handle.id)
    assert handle.result_sync(60) == [0, 1, 2, 3]
    assert ledger.runs(handle.id) == FINISHED_ONCE
    assert survivor.running


def test_one_slot_is_free_soon_after_each_death_of_its_process(
    worker: Workers, client: PolosClient, ledger: Ledger
) -> None:
    """Left alone, Celery misses some of the deaths, and waits for ten seconds after each."""
    worker("prefork", slots=1)
    handle = flows.interrupted.start(client)
    for death in range(1, 5):
        begun = ledger.wait_for(handle.id, "slow", times=death)[-1]
        killed = time.monotonic()
        os.kill(begun.pid, signal.SIGKILL)
        again = ledger.wait_for(handle.id, "slow", times=death + 1)[-1]
        assert again.at - killed < 9
    ledger.open_gate(handle.id)
    assert handle.result_sync(60) == [0, 1, 2, 3]


def test_what_an_effect_depended_on_is_the_same_after_a_crash(
    worker: Workers, client: PolosClient, ledger: Ledger
) -> None:
    victim = worker("prefork", name="victim")
    handle = flows.derived.start(client)
    [first] = ledger.wait_for(handle.id, "slow")
    victim.kill(signal.SIGKILL, group=True)
    worker("prefork", name="heir")
    second = ledger.wait_for(handle.id, "slow", times=2)[1]
    ledger.open_gate(handle.id)
    drawn = handle.result_sync(60)
    seen = [literal_eval(entry.text) for entry in (first, second)]
    seen.append(literal_eval(ledger.entries(handle.id, "seen")[0].text))
    assert seen == [drawn] * 3
    assert [_typed(value) for value in drawn["falsy"]] == [_typed(v) for v in flows.FALSY]
    assert 0 <= drawn["random"] < 1 != drawn["late random"]
    assert drawn["uuid"] != drawn["late uuid"]
    runs = ledger.runs(handle.id)
    assert runs == {**{f"falsy{n}": 1 for n in range(len(flows.FALSY))}, "slow": 2, "seen": 1}


def _typed(value: object) -> tuple[type, object]:
    """``0 == False``, and they are not the same."""
    return type(value), value
