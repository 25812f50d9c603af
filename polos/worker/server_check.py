"""Whether the server that a program starts its workflows by sees the worker that is to run them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from polos.client.remote import RemoteClient
from polos.errors import AccessDenied, PolosError

log = logging.getLogger("polos.worker")

# A worker tells of itself in its own time, and its server may be starting.
_ASKED = 10
_PAUSE = 1.0


async def compare_with_server(
    remote: RemoteClient, workflows: Collection[str], reads: Callable[[], str]
) -> bool:
    """Warn where a server does not see a worker of these workflows; whether it does.

    Args:
        remote: the server.
        workflows: the ids of what this worker runs.
        reads: says which database and project it reads.
    """
    trouble, missing = "", set(workflows)
    for _ in range(_ASKED):
        try:
            missing = set(workflows) - await asyncio.to_thread(remote.seen_workflows)
        except AccessDenied as error:
            trouble = str(error)
            break
        except PolosError as error:
            trouble = str(error)
        else:
            trouble = ""
            if not missing:
                log.info("the server %s sees this worker", remote.url)
                return True
        await asyncio.sleep(_PAUSE)
    if trouble:
        log.warning("whether the server %s sees this worker is not known: %s", remote.url, trouble)
    else:
        log.warning(
            "the server %s does not see this worker: what is started there of %s does not run "
            "here. This worker reads %s, the server something else. Set POLOS_DATABASE_URL, "
            "POLOS_BROKER_URL and POLOS_PROJECT_ID alike for both; with none of them, start both "
            "in one folder, or set POLOS_HOME",
            remote.url,
            ", ".join(sorted(missing)),
            reads(),
        )
    return False
