"""Filters of the list of executions, each of which an index answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.utils import timezone

from polos.contrib.django.databases import chosen_alias
from polos.contrib.django.models import SeenWorkflow
from polos.contrib.django.project import project_id
from polos.model.records import as_micros


class WorkflowFilter(SimpleListFilter):
    """By workflow: those that a worker has had the code of."""

    title = "workflow"
    parameter_name = "workflow_id"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        """The ids; not read from the executions, which may be millions."""
        known = SeenWorkflow.objects.using(chosen_alias()).filter(project_id=project_id())
        return [(name, name) for name in known.values_list("id", flat=True).order_by("id")]

    def queryset(self, request: Any, queryset: Any) -> Any:
        """The executions of the chosen one."""
        return queryset.filter(workflow_id=self.value()) if self.value() else queryset


class CreatedFilter(SimpleListFilter):
    """By the time of the start."""

    title = "created"
    parameter_name = "created"
    _hours = {"hour": 1, "day": 24, "week": 24 * 7, "month": 24 * 30}

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        """The spans."""
        return [
            ("hour", "In the last hour"),
            ("day", "In the last 24 hours"),
            ("week", "In the last 7 days"),
            ("month", "In the last 30 days"),
        ]

    def queryset(self, request: Any, queryset: Any) -> Any:
        """The executions that began in the chosen one."""
        hours = self._hours.get(self.value() or "")
        if hours is None:
            return queryset
        return queryset.filter(created_at__gte=as_micros(timezone.now() - timedelta(hours=hours)))
