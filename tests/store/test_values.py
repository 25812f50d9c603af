"""What the codec makes of any value goes through each database unchanged."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings

from polos.codec import decode, encode
from polos.model.outcome import Completed
from polos.store.schema import executions
from polos.store.sql_store import SqlStore
from tests.store.scenes import running, step
from tests.unit.codec.strategies import same, values

CHECKS = [
    # All examples share a database; each leaves it empty.
    HealthCheck.function_scoped_fixture,
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
]


@settings(max_examples=100, deadline=None, suppress_health_check=CHECKS)
@given(value=values())
def test_a_value_comes_back_as_it_went(store: SqlStore, value: Any) -> None:
    data = encode(value)
    claimed = running(store, payload=data)
    store.checkpoint("one", claimed.token, [step("key", data)])
    store.commit(claimed.execution, claimed.token, Completed(data))
    [kept] = store.load("one")[0]
    found = store.get("one")
    store.database.run(executions.delete())
    assert kept.value is not None
    assert same(decode(kept.value), value)
    assert found is not None
    assert kept.value == found.payload == found.result == data
