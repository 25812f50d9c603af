"""Names that both ends of a message know."""

from __future__ import annotations

PREFIX = "polos."
# Found in each package in which an app looks for tasks.
MODULE = "workflows"
# Set on hints. Only a message without it may start an execution that is not stored yet.
HINT_HEADER = "polos_hint"
# The seconds from when a hint is sent until it is due, for workers whose clock is another one.
AHEAD_HEADER = "polos_ahead"
# The same moment by the database's clock, for workers that have read it.
DUE_HEADER = "polos_due"
# What a plain message said of its start; the store sees to it, no worker holds the message.
ETA_HEADER = "polos_eta"
EXPIRES_HEADER = "polos_expires"
# Set by a worker that has been told to revoke this id.
REVOKED_HEADER = "polos_revoked"
# Celery's callbacks of a task that is a step. No workflow's id can hold a slash.
STEP_DONE = "polos.internal/step_done"
STEP_FAILED = "polos.internal/step_failed"


def steps_queue(project_id: str) -> str:
    """The queue by which workers without Polos tell of ends; every worker with Polos has it."""
    return f"polos.steps.{project_id}"


def task_name(workflow_id: str) -> str:
    """The name of a workflow's Celery task."""
    return PREFIX + workflow_id


def workflow_id_of(name: str) -> str:
    """The workflow of a Celery task's name."""
    return name.removeprefix(PREFIX)
