"""The overview where there is much to be seen."""

from __future__ import annotations

import re

from sqlalchemy import insert, select

from polos.model.states import Status
from polos.store.schema import executions
from tests.flower.executions import MINUTE, Written
from tests.flower.pages import Site

_HOUR = 60 * MINUTE


def test_a_hundred_workflows_of_a_busy_day_stay_a_light_page(site: Site) -> None:
    for number in range(100):
        named = f"shop.orders.workflow_{number:03}"
        Written(site.store, f"e{number}", workflow_id=named).put(Status.FAILED)
    database = site.store.database
    rows = [dict(row._mapping) for row in database.run(select(executions))]
    earlier = [
        row
        | {"id": f"{row['id']}-{hours}"}
        | {name: row[name] - hours * _HOUR for name in ("created_at", "finished_at")}
        for row in rows
        for hours in range(1, 24)
    ]
    with database.engine.begin() as connection:
        connection.execute(insert(executions), earlier)
    page = site.get("/workflows/overview").text
    assert page.count("24 starts in 24 hours") == 50
    assert len(page.encode()) < 100_000
    found = re.search(r'rel="next" href="([^"]+)"', page)
    assert found is not None
    rest = site.get(found[1]).text
    assert rest.count("24 starts in 24 hours") == 50
    assert "workflow_049" in page and "workflow_050" in rest and 'rel="next"' not in rest
