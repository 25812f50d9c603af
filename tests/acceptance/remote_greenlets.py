"""A program under gevent that goes by way of a server, whose address it is given."""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import asyncio
import json
import sys
import time

import gevent

from polos import PolosClient
from tests.acceptance import flows

GREENLETS = 20


def main(api_url: str) -> None:
    client = PolosClient(api_url=api_url)
    ticks: list[float] = []

    def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            gevent.sleep(0.01)

    ticking = gevent.spawn(tick)
    jobs = [
        gevent.spawn(flows.rest.run_sync, client, flows.Rest(seconds=0.2), timeout=60)
        for _ in range(GREENLETS)
    ]
    gevent.joinall(jobs, raise_error=True)
    ticking.kill()
    found = asyncio.run(client.list_executions("accept-rest", session_id=None, limit=GREENLETS))
    longest = max(after - before for before, after in zip(ticks, ticks[1:], strict=False))
    print(json.dumps([[job.value for job in jobs], len(found.items), len(ticks), longest]))
    client.close()


main(sys.argv[1])
