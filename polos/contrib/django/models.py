"""Polos's tables, to be read. The store alone writes them, and Polos's own migrations make them."""

from __future__ import annotations

from typing import Any

from django.db import models

from polos.model.states import Status


class _ToBeRead(models.Model):
    """What all of these models have in common."""

    objects: Any = models.Manager()

    class Meta:
        """Nobody may be given the right to more than a look."""

        abstract = True
        managed = False
        default_permissions = ("view",)


def _key(**given: Any) -> Any:
    return models.CharField(max_length=255, **given)


class Execution(_ToBeRead):
    """One durable run of a workflow. Times are microseconds since the epoch, UTC.

    Example::

        Execution.objects.filter(user_id="7", status="failed").values_list("id", "workflow_id")
    """

    id = _key(primary_key=True)
    project_id = _key()
    workflow_id = _key(verbose_name="workflow")
    status = models.CharField(max_length=16, choices=[(it.value, it.value) for it in Status])
    payload = models.BinaryField()
    result = models.BinaryField(null=True)
    failure = models.BinaryField(null=True)
    queue = _key(null=True)
    priority = models.IntegerField(null=True)
    session_id = _key(null=True, verbose_name="session")
    user_id = _key(null=True, verbose_name="user")
    deployment_id = _key(null=True, verbose_name="deployment")
    idempotency_key = _key(null=True)
    parent = models.ForeignKey(
        "self",
        models.DO_NOTHING,
        db_column="parent_execution_id",
        db_constraint=False,
        null=True,
        related_name="children",
    )
    parent_step_key = _key(null=True)
    root_execution_id = _key(null=True)
    created_at = models.BigIntegerField()
    started_at = models.BigIntegerField(null=True)
    finished_at = models.BigIntegerField(null=True)
    wake_at = models.BigIntegerField(null=True)
    deadline_at = models.BigIntegerField(null=True)
    cancel_requested_at = models.BigIntegerField(null=True)
    claims = models.IntegerField(verbose_name="attempts")
    recoveries = models.IntegerField()
    lease_worker = _key(null=True, verbose_name="worker")
    retried = models.IntegerField()
    forked_from = _key(null=True)

    class Meta(_ToBeRead.Meta):
        """As the schema has it."""

        db_table = "polos_executions"

    def __str__(self) -> str:
        return f"{self.workflow_id} {self.id}"


class Checkpoint(_ToBeRead):
    """What one step came to; unique is the execution with the key."""

    execution = models.ForeignKey(
        Execution, models.DO_NOTHING, related_name="checkpoints", db_constraint=False
    )
    # Of an execution; before 5.2 Django has no keys of two columns.
    step_key = _key(primary_key=True)
    kind = models.CharField(max_length=32)
    turn = models.IntegerField()
    position = models.IntegerField()
    value = models.BinaryField(null=True)
    failure = models.BinaryField(null=True)
    attempts = models.IntegerField()
    started_at = models.BigIntegerField(null=True)
    created_at = models.BigIntegerField()
    history = models.BinaryField(null=True)

    class Meta(_ToBeRead.Meta):
        """As the schema has it."""

        db_table = "polos_checkpoints"
        ordering = ("turn", "position")

    def __str__(self) -> str:
        return str(self.step_key)


class Wait(_ToBeRead):
    """What an execution waits for; unique is the execution with the key."""

    execution = models.ForeignKey(
        Execution, models.DO_NOTHING, related_name="waits", db_constraint=False
    )
    step_key = _key(primary_key=True)
    kind = models.CharField(max_length=32)
    due_at = models.BigIntegerField(null=True)
    target_id = _key(null=True)
    attempts = models.IntegerField()
    failure = models.BinaryField(null=True)
    started_at = models.BigIntegerField(null=True)
    history = models.BinaryField(null=True)

    class Meta(_ToBeRead.Meta):
        """As the schema has it."""

        db_table = "polos_waits"

    def __str__(self) -> str:
        return str(self.step_key)


class Tag(_ToBeRead):
    """A label of an execution; unique is the execution with the tag."""

    execution = models.ForeignKey(
        Execution, models.DO_NOTHING, related_name="tags", db_constraint=False
    )
    tag = _key(primary_key=True)

    class Meta(_ToBeRead.Meta):
        """As the schema has it."""

        db_table = "polos_tags"

    def __str__(self) -> str:
        return str(self.tag)


class SeenWorkflow(_ToBeRead):
    """A workflow that a worker has had the code of."""

    id = _key(primary_key=True)
    project_id = _key()

    class Meta(_ToBeRead.Meta):
        """As the schema has it."""

        db_table = "polos_workflows"

    def __str__(self) -> str:
        return str(self.id)
