"""Executions in Django's admin, to be read: with their steps, their waits, their children."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from polos.contrib.django import display
from polos.contrib.django.databases import chosen_alias
from polos.contrib.django.filters import CreatedFilter, WorkflowFilter
from polos.contrib.django.models import Execution
from polos.contrib.django.paging import EstimatingPaginator
from polos.contrib.django.project import project_id
from polos.contrib.django.schema import is_elsewhere
from polos.model.records import as_micros

# More of them are no help on one page.
_SHOWN = 500
_BLOBS = ("payload", "result", "failure")


class ExecutionAdmin(admin.ModelAdmin):
    """A list that finds executions by index, and a page for each; nothing can be changed here."""

    list_display = ("id", "workflow_id", "status", "created", "duration")
    list_filter = (WorkflowFilter, "status", CreatedFilter)
    search_fields = ("id__exact", "session_id__exact", "user_id__exact")
    search_help_text = "The whole id of an execution, a session or a user"
    ordering = ("-created_at", "-id")
    sortable_by = ()
    paginator = EstimatingPaginator
    show_full_result_count = False
    list_select_related = False
    list_per_page = 50
    fieldsets = (
        (None, {"fields": ("id", "workflow_id", "status", "created", "started", "ended")}),
        ("Values", {"fields": ("payload_text", "result_text", "error")}),
        ("Steps", {"fields": ("steps", "waits_for", "children_started")}),
        (
            "More",
            {
                "fields": (
                    "parent_link",
                    "session_id",
                    "user_id",
                    "labels",
                    "idempotency_key",
                    "deployment_id",
                    "queue",
                    "priority",
                    "lease_worker",
                    "claims",
                    "recoveries",
                )
            },
        ),
    )

    def has_add_permission(self, request: Any) -> bool:
        """Executions are started by programs."""
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        """The store alone writes them."""
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        """The store alone writes them."""
        return False

    def get_queryset(self, request: Any) -> Any:
        """This project's, from Polos's database, without what may be large."""
        found = super().get_queryset(request).using(chosen_alias())
        return found.filter(project_id=project_id()).defer(*_BLOBS)

    @admin.display(description="created", ordering="created_at")
    def created(self, execution: Any) -> Any:
        """When it was written."""
        return display.moment(execution.created_at)

    @admin.display(description="duration")
    def duration(self, execution: Any) -> str:
        """From its creation to its end, or to now."""
        end = execution.finished_at or as_micros(timezone.now())
        return display.span(execution.created_at, end)

    @admin.display(description="started")
    def started(self, execution: Any) -> str:
        """When its first attempt began."""
        return display.clock(execution.started_at)

    @admin.display(description="ended")
    def ended(self, execution: Any) -> str:
        """When it ended, and how long that took."""
        if execution.finished_at is None:
            return display.NOTHING
        took = display.span(execution.created_at, execution.finished_at)
        return f"{display.clock(execution.finished_at)}, after {took}"

    @admin.display(description="payload")
    def payload_text(self, execution: Any) -> str:
        """What it was started with."""
        return display.block(display.value_text(execution.payload))

    @admin.display(description="result")
    def result_text(self, execution: Any) -> str:
        """What it gave."""
        return display.block(display.value_text(execution.result))

    @admin.display(description="error")
    def error(self, execution: Any) -> str:
        """What it failed with."""
        failure = display.failure_of(execution.failure)
        trace = failure.traceback if failure else ""
        text = display.failure_text(execution.failure)
        return display.block(f"{text}\n\n{trace}" if trace else text)

    @admin.display(description="steps")
    def steps(self, execution: Any) -> str:
        """What its steps came to, in their order."""
        head = ("step", "kind", "began", "took", "attempts", "came to", "failed before")
        return display.table(head, map(_step, _own(execution.checkpoints)[:_SHOWN]))

    @admin.display(description="waits for")
    def waits_for(self, execution: Any) -> str:
        """What it waits for that has not come yet."""
        come = _own(execution.checkpoints).values("step_key")
        waits = _own(execution.waits).exclude(step_key__in=come)
        head = ("step", "kind", "until", "for", "attempts", "last error", "failed before")
        return display.table(head, map(_wait, waits[:_SHOWN]))

    @admin.display(description="children")
    def children_started(self, execution: Any) -> str:
        """The executions that its steps started."""
        children = _own(execution.children).defer(*_BLOBS).order_by("created_at", "id")[:_SHOWN]
        rows = [
            (it.parent_step_key, _link(it.id), it.workflow_id, it.status, self.duration(it))
            for it in children
        ]
        return display.table(("step", "execution", "workflow", "status", "duration"), rows)

    @admin.display(description="parent")
    def parent_link(self, execution: Any) -> str:
        """The execution whose step started it."""
        return _link(execution.parent_id) if execution.parent_id else display.NOTHING

    @admin.display(description="tags")
    def labels(self, execution: Any) -> str:
        """What it was labelled with."""
        tags = _own(execution.tags).values_list("tag", flat=True).order_by("tag")
        return ", ".join(tags) or display.NOTHING


def _own(related: Any) -> Any:
    """What belongs to an execution, from its database, whatever routers say of its model."""
    return related.using(chosen_alias())


def _step(step: Any) -> tuple[Any, ...]:
    failed = step.failure is not None
    came_to = display.failure_text(step.failure) if failed else display.value_text(step.value)
    began = step.created_at if step.started_at is None else step.started_at
    took = display.span(step.started_at, step.created_at)
    return (
        step.step_key,
        step.kind,
        display.clock(began),
        took,
        step.attempts,
        display.block(came_to),
        display.block(display.history_text(step.history)),
    )


def _wait(wait: Any) -> tuple[Any, ...]:
    target = _link(wait.target_id) if wait.kind == "invoke_and_wait" else wait.target_id
    return (
        wait.step_key,
        wait.kind,
        display.clock(wait.due_at),
        target or display.NOTHING,
        wait.attempts,
        display.block(display.failure_text(wait.failure)),
        display.block(display.history_text(wait.history)),
    )


def _link(execution_id: str) -> str:
    url = reverse("admin:polos_execution_change", args=[execution_id])
    return str(format_html('<a href="{}">{}</a>', url, execution_id))


if not is_elsewhere():
    admin.site.register(Execution, ExecutionAdmin)
