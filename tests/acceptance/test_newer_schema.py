"""Code on a database whose schema the next release has expanded already."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import MetaData, create_engine, inspect, text

from polos import PolosClient
from polos.store.schema import SCHEMA
from tests.acceptance import flows
from tests.acceptance.conftest import opened
from tests.acceptance.flows import Told, Trip
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Stack, Workers, wait_for_status
from tests.acceptance.tables import Tables

NEXT = f"{int(SCHEMA) + 1:04d}"


def _expand(tables: Tables) -> None:
    """What the next release may do: add a table, columns and indexes, and count one further."""
    with tables.transaction() as connection:
        blob = "BYTEA" if connection.dialect.name == "postgresql" else "BLOB"
        for name in inspect(connection).get_table_names():
            if name == "polos_schema":
                continue
            for column in (f"later {blob}", "level INTEGER NOT NULL DEFAULT 7", "label VARCHAR(9)"):
                connection.execute(text(f"ALTER TABLE {name} ADD COLUMN {column}"))
            connection.execute(text(f"CREATE INDEX {name}_later ON {name} (level, label)"))
        connection.execute(
            text(
                "CREATE TABLE polos_later (id VARCHAR(255) PRIMARY KEY REFERENCES "
                "polos_executions (id) ON DELETE CASCADE)"
            )
        )
        connection.execute(text("UPDATE polos_schema SET version_num = :next"), {"next": NEXT})


@pytest.fixture(scope="module", params=["embedded", "servers"])
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """One whose schema is a step newer, with an execution from before that step."""
    with opened(request, request.param) as made:
        yield made


def _columns(url: str) -> dict[str, int]:
    engine = create_engine(url)
    try:
        found = MetaData()
        found.reflect(engine)
        return {table.name: len(table.columns) for table in found.sorted_tables}
    finally:
        engine.dispose()


def test_code_works_on_the_next_schema(
    stack: Stack, worker: Workers, client: PolosClient, ledger: Ledger
) -> None:
    before = flows.quick.start(client)
    tables = Tables(client)
    url = client.bound.store.database.engine.url.render_as_string(hide_password=False)
    had = _columns(url)
    _expand(tables)
    old_client = stack.client()
    try:
        worker("prefork", slots=2)
        _use(old_client, ledger)
        assert before.result_sync(60) == "done"
        assert tables.column("SELECT version_num FROM polos_schema") == [NEXT]
        assert set(tables.column("SELECT level FROM polos_executions")) == {7}
        plus = {name: count + 3 for name, count in had.items() if name != "polos_schema"}
        assert _columns(url) == {**plus, "polos_schema": 1, "polos_later": 1}
    finally:
        old_client.close()
        tables.close()


def _use(client: PolosClient, ledger: Ledger) -> None:
    """Start, wait, retry, cancel, and wait for children: all that writes."""
    journey = flows.journey.start(client, Trip(seconds=1))
    parent = flows.parent.start(client)
    flaky = flows.flaky.start(client)
    broken = flows.broken.start(client)
    assert journey.result_sync(60) == Told(
        numbers=[2, 3], child="rested", branches=[0, 1, 4, 9, 16]
    )
    assert set(ledger.runs(journey.id).values()) == {1}
    assert flaky.result_sync(60) == "up"
    with pytest.raises(RuntimeError, match="the bank is closed"):
        broken.result_sync(60)
    ledger.wait_for(parent.id, "leaf")
    wait_for_status(parent, "waiting")
    assert asyncio.run(parent.cancel())
    wait_for_status(parent, "cancelled")
