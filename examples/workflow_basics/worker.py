"""Runs the example's workflows until Ctrl-C. Start it first, then main.py in another terminal."""

import asyncio
import logging
import os

import workflows
from dotenv import load_dotenv

from polos import PolosClient, Worker


async def main() -> None:
    load_dotenv()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s")
    for chatty in ("alembic", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    client = PolosClient(
        project_id=os.getenv("POLOS_PROJECT_ID"), api_url=os.getenv("POLOS_API_URL")
    )
    worker = Worker(client=client, workflows=workflows.ALL)
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
