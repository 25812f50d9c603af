"""Runs the workflows of the introduction."""

import asyncio
import logging

from workflows import (
    hopeless,
    operations,
    parent_workflow,
    process_order,
    simple_workflow,
    validate_and_enrich,
)

from polos import PolosClient, Worker

logging.basicConfig(level=logging.INFO)


async def main() -> None:
    client = PolosClient(project_id="introduction")
    worker = Worker(
        client=client,
        workflows=[
            simple_workflow,
            process_order,
            validate_and_enrich,
            parent_workflow,
            operations,
            hopeless,
        ],
    )
    await worker.run()


asyncio.run(main())
