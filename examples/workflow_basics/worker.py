"""Runs the example's workflows until Ctrl-C. Start it first, then main.py in another terminal."""

import asyncio
import logging

import workflows

from polos import PolosClient, Worker


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s")
    worker = Worker(client=PolosClient(), workflows=workflows.ALL)
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
