"""Why an execution that could run is taken by no worker."""

from __future__ import annotations

from collections.abc import Sequence

from polos.model.workers import WorkerReport


def unclaimed(workflow: str, queue: str, alive: Sequence[WorkerReport]) -> str:
    """Why nobody takes what is due, and what to do; empty where a worker should.

    Args:
        workflow: its id.
        queue: where its message goes; empty where that isn't known.
        alive: the living workers.
    """
    if not alive:
        return "no worker is alive: start one"
    if not any(workflow in worker.workflows for worker in alive):
        return f"no living worker has the workflow {workflow!r}: start one that imports it"
    if queue and unconsumed(workflow, queue, alive):
        return (
            f"no worker that has its code consumes the queue {queue!r}: start one with -Q {queue}"
        )
    return ""


def unconsumed(workflow: str, queue: str, alive: Sequence[WorkerReport]) -> bool:
    """Whether there are workers with the code, and none of them consumes that queue."""
    able = [worker for worker in alive if workflow in worker.workflows]
    return bool(able) and all(worker.queues and queue not in worker.queues for worker in able)
