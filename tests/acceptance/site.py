"""A workflow whose plain steps use Django's ORM, a loop of their own, and threads."""

from __future__ import annotations

import asyncio
import os
from functools import cache
from pathlib import Path
from typing import Any

from polos import WorkflowContext, workflow
from tests.acceptance import ledger


@cache
def guest_model() -> Any:
    """Django set up in this process, with one model and its table."""
    import django
    from django.conf import settings
    from django.db import connection, models

    database = Path(os.environ[ledger.VARIABLE]).with_name(f"guests-{os.getpid()}.db")
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(database)}},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        INSTALLED_APPS=[],
    )
    django.setup()

    class Guest(models.Model):
        name = models.CharField(max_length=50)

        class Meta:
            app_label = "acceptance"

    with connection.schema_editor() as editor:
        editor.create_model(Guest)
    return Guest


def sign_in(name: str) -> list[str]:
    """Writes and reads with the ORM."""
    guest = guest_model()
    guest.objects.create(name=name)
    return [found.name for found in guest.objects.filter(name=name)]


def with_own_loop() -> str:
    """What many a plain function does to call an async one."""

    async def inner() -> str:
        await asyncio.sleep(0.01)
        return "run"

    return asyncio.run(inner())


@workflow(id="accept-guests")
async def guests(ctx: WorkflowContext, payload: dict) -> dict:
    return {
        "orm": await ctx.step.run("orm", sign_in, payload["name"], max_retries=0),
        "own loop": await ctx.step.run("own loop", with_own_loop, max_retries=0),
        "thread": await ctx.step.run("thread", asyncio.to_thread, lambda: "to_thread"),
    }
