"""What a shell is told when somebody asks it to complete an id or a key. Never an error."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

from polos.cli.target import Target, target_of
from polos.model.inert import one_line
from polos.model.settings import has_home
from polos.model.states import ENDED, Status
from polos.store import api_keys

_RECENT = 100
_OPEN = [status.value for status in Status if status not in ENDED]

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _quietly(find: Callable[[Target, click.Context], Iterable[CompletionItem]]) -> Completer:
    """What is found that begins as asked; nothing where anything goes wrong."""

    def complete(
        context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        logging.disable(logging.CRITICAL)
        try:
            target = target_of(context)
            # A TAB makes no embedded database.
            if not target.settings.database_url and not has_home():
                return []
            found = list(find(target, context))
        except Exception:  # a shell that waits for a word can't be told of errors
            return []
        return [item for item in found if str(item.value).startswith(incomplete)]

    return complete


def _executions(target: Target, statuses: list[str] | None) -> Iterable[CompletionItem]:
    page = asyncio.run(target.client.list_executions(status=statuses, limit=_RECENT))
    for item in page.items:
        yield CompletionItem(item.id, help=f"{one_line(item.workflow_id)}, {item.status}")


def _step_keys(target: Target, context: click.Context) -> Iterable[CompletionItem]:
    # Behind an option that still lacks its value, click leaves the arguments unread.
    unread = [word for word in context.args if not word.startswith("-")]
    id_: Any = context.params.get("execution_id") or next(iter(unread), None)
    if not id_:
        return
    for step in asyncio.run(target.client.get_execution(id_))["steps"]:
        yield CompletionItem(step["key"], help=f"{step['kind']}, {step['status']}")


def _keys(target: Target) -> Iterable[CompletionItem]:
    for key in api_keys.listed(target.store.database):
        if key.revoked_at is None:
            yield CompletionItem(key.id, help=one_line(key.name))


workflow_ids = _quietly(
    lambda target, _: [CompletionItem(id_) for id_ in sorted(target.store.known_workflows())]
)
execution_ids = _quietly(lambda target, _: _executions(target, None))
open_execution_ids = _quietly(lambda target, _: _executions(target, _OPEN))
failed_execution_ids = _quietly(lambda target, _: _executions(target, [Status.FAILED.value]))
step_keys = _quietly(_step_keys)
key_ids = _quietly(lambda target, _: _keys(target))
