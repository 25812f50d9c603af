"""Questions that a process of the test's Django project answers, in JSON on its last line.

``python -m tests.contrib.probes refusal``
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import django


def refusal() -> str:
    """What is said of ``DATABASES`` when Polos is first used."""
    from polos import ConfigurationError
    from tests.contrib.site.celery import polos

    try:
        polos.get("any")
    except ConfigurationError as error:
        return str(error)
    raise AssertionError("it was taken")


TEXT = "<script>alert('1')</script> & more"


def pages() -> dict[str, Any]:
    """The admin's pages of some executions, as a superuser gets them."""
    from django.test.utils import CaptureQueriesContext

    from tests.contrib.site.celery import polos
    from tests.contrib.site.guests.workflows import shown

    ids = _some_executions()
    web = _web(superuser=True)
    listed = "/admin/polos/execution/"
    found: dict[str, Any] = {"ids": ids, "list": _page(web, listed)}
    for name, execution_id in ids.items():
        found[name] = _page(web, f"{listed}{execution_id}/change/")
    asked = {
        "by id": f"?q={ids['completed']}",
        "by user": "?q=ada",
        "by status": "?status__exact=failed",
        "by workflow": "?workflow_id=child",
        "by time": "?created=hour",
        "nothing": "?q=nobody",
    }
    found |= {name: _page(web, listed + query) for name, query in asked.items()}
    connection = _connection()
    with CaptureQueriesContext(connection) as caught:
        web.get(listed)
    found["queries"] = [query["sql"] for query in caught.captured_queries]
    handle = shown.start(polos, {"text": "of another project"})
    with connection.cursor() as cursor:
        changed = "UPDATE polos_executions SET project_id = 'other' WHERE id = %s"
        cursor.execute(changed, [handle.id])
    found["refused"] = _refused(ids, web, _web(superuser=False))
    found["another project"] = _page(web, f"{listed}{handle.id}/change/")
    return found


def _refused(ids: dict[str, str], web: Any, staff: Any) -> dict[str, Any]:
    """The status of each try to change something, and of a look by somebody without the right."""
    from django.contrib.auth.models import Permission, User

    listed = "/admin/polos/execution/"
    page = f"{listed}{ids['completed']}/"
    action = {"action": "delete_selected", "_selected_action": [ids["completed"]]}
    found: dict[str, Any] = {
        "add": web.get(f"{listed}add/").status_code,
        "change": web.post(f"{page}change/", {"status": "queued"}).status_code,
        "delete": web.post(f"{page}delete/", {"post": "yes"}).status_code,
        "action": ids["completed"] in web.post(listed, action, follow=True).content.decode(),
    }
    found["without the right"] = staff.get(listed).status_code
    right = Permission.objects.get(codename="view_execution", content_type__app_label="polos")
    User.objects.get(username="staff").user_permissions.add(right)
    found["with it"] = staff.get(listed).status_code
    found["rights"] = Permission.objects.filter(content_type__app_label="polos").count()
    return found


def masks(secret: str) -> dict[str, Any]:
    """The admin's page of an execution that holds a secret."""
    from polos import Polos, StepExecutionError
    from tests.contrib.site.guests.workflows import hidden

    with Polos() as own:
        handle = hidden.start(own, {"name": "ann", "secret": secret})
        with suppress(StepExecutionError):
            handle.result_sync(60)
    return _page(_web(superuser=True), f"/admin/polos/execution/{handle.id}/change/")


def run_guests(number: str, asked_for_async: str) -> int:
    """How many guests signed in by so many executions on a worker that runs."""
    from tests.contrib.site.guests.models import Guest
    from tests.contrib.site.guests.workflows import guests

    payloads = [
        {"name": f"g{number}", "async": asked_for_async == "async"} for number in range(int(number))
    ]
    for handle in [guests.start(payload=payload) for payload in payloads]:
        assert len(handle.result_sync(90)["ids"]) == 2
    return int(Guest.objects.count())


def _some_executions() -> dict[str, str]:
    """One of each kind, by an own worker on Django's database."""
    from polos import Polos, StepExecutionError
    from polos.contrib.django.models import Wait
    from tests.contrib.site.guests.workflows import shown
    from tests.support.processes import until

    with Polos() as own:
        completed = shown.start(own, {"text": TEXT}, user_id="ada", session_id="s1")
        failed = shown.start(own, {"text": TEXT, "fails": True})
        waiting = shown.start(own, {"text": TEXT, "waits": True})
        completed.result_sync(60)
        with suppress(StepExecutionError):
            failed.result_sync(60)
        until(Wait.objects.filter(execution_id=waiting.id, step_key="for ever").exists)
    return {"completed": completed.id, "failed": failed.id, "waiting": waiting.id}


def _web(*, superuser: bool) -> Any:
    from django.contrib.auth.models import User
    from django.test import Client

    name = "root" if superuser else "staff"
    user = User.objects.create_user(name, is_staff=True, is_superuser=superuser)
    web = Client()
    web.force_login(user)
    return web


def _page(web: Any, url: str) -> dict[str, Any]:
    answer = web.get(url)
    return {"status": answer.status_code, "html": answer.content.decode()}


def _connection() -> Any:
    from django.db import connections

    from polos.contrib.django.databases import chosen_alias

    return connections[chosen_alias()]


def _old_execution(number: int) -> Any:
    from polos.contrib.django.models import Execution

    zero = dict.fromkeys(("claims", "recoveries", "retried"), 0)
    return Execution(
        id=str(number),
        project_id="default",
        workflow_id="many",
        status="queued",
        payload=b"null",
        created_at=number,
        **zero,
    )


def counts(rows: str) -> dict[str, int]:
    """What the paginator says of so many rows, and of a filter that leaves few."""
    from polos.contrib.django.models import Execution
    from polos.contrib.django.paging import EstimatingPaginator

    Execution.objects.bulk_create(map(_old_execution, range(1, int(rows) + 1)), batch_size=500)
    connection = _connection()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE polos_executions")
    every = Execution.objects.order_by("-created_at")
    few = every.filter(created_at__lte=7)
    return {
        "every": EstimatingPaginator(every, 50).count,
        "few": EstimatingPaginator(few, 50).count,
    }


_ALL = (refusal, pages, masks, counts, run_guests)
QUESTIONS: dict[str, Callable[..., Any]] = {question.__name__: question for question in _ALL}

if __name__ == "__main__":
    django.setup()
    print(json.dumps(QUESTIONS[sys.argv[1]](*sys.argv[2:])))
