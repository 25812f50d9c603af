"""Flower's own ``/metrics``, as Prometheus gets it from a real Flower."""

from __future__ import annotations

from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from polos import Polos, WorkflowContext, workflow
from tests.support.polos_server import PolosServer
from tests.support.processes import until
from tests.support.servers import RedisServer


@workflow(id="scraped")
async def scraped(ctx: WorkflowContext) -> None:
    await ctx.step.run("only", lambda: 1)


def scrape(server: PolosServer) -> dict[str, float]:
    text = httpx.get(f"{server.url}/metrics", trust_env=False, timeout=20).text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def test_flower_tells_of_executions_and_workers(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/polos.db"
    with (
        RedisServer() as redis,
        Polos(database_url=database, broker_url=redis.url, workflows=[scraped]) as polos,
        PolosServer(database, redis.url) as server,
    ):
        until(lambda: scrape(server).get("polos_store_up") == 1, 60)
        assert "python_info" in scrape(server)  # and what Flower tells without Polos
        scraped.run_sync(polos)
        until(lambda: scrape(server).get("polos_executions_ended_total") == 1, 90)
        found = scrape(server)
        assert found["polos_step_duration_seconds_count"] == 1
        assert found["polos_worker_slots"] >= 1
        assert found["polos_sweeps_total"] > 0
