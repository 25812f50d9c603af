"""``list``: executions, newest first."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import click

from polos.cli import completions
from polos.cli.exits import wrong_calls
from polos.cli.options import json_option, moment
from polos.cli.output import show
from polos.cli.screens import listing as screen
from polos.cli.screens.glyphs import glyphs_of
from polos.cli.target import Target, target_of
from polos.model.records import as_datetime
from polos.model.states import Status

_PAGE = 500


@click.command(name="list")
@click.option(
    "-w",
    "--workflow",
    "workflow_id",
    metavar="ID",
    shell_complete=completions.workflow_ids,
    help="Of this workflow.",
)
@click.option(
    "-s",
    "--status",
    type=click.Choice([status.value for status in Status]),
    multiple=True,
    help="In this state; more than once for one of several.",
)
@click.option("--session", "session_id", metavar="ID", help="With this session_id.")
@click.option("--user", "user_id", metavar="ID", help="With this user_id.")
@click.option("-t", "--tag", metavar="TAG", help="With this tag.")
@click.option("--since", type=moment, metavar="TIME", help="Created since then: 2h, 2030-01-31.")
@click.option("--until", type=moment, metavar="TIME", help="Created before then.")
@click.option(
    "-n", "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many."
)
@click.option("--cursor", metavar="TEXT", help="Go on where a page ended: its next_cursor.")
@click.option("--all", "everything", is_flag=True, help="All pages.")
@json_option
@click.pass_context
def list_(context: click.Context, /, limit: int, everything: bool, **filters: Any) -> None:
    """Executions, newest first.

    The filters add up. For the page that follows, pass on the cursor that is printed below.
    """
    target = target_of(context)
    with wrong_calls():
        items, cursor = _found(target, limit, everything, _query(**filters))
    data = {"items": items, "next_cursor": cursor}
    now = as_datetime(target.store.now())
    after = f"more: --cursor {cursor}" if cursor else ""
    place = f"of project {target.settings.project_id} in {target.store.database.url}"
    show(
        context,
        data,
        lambda console: screen.drawn(items, now, console.width, glyphs_of(console), after, place),
    )


def _query(
    status: tuple[str, ...], since: datetime | None, until: datetime | None, **others: Any
) -> dict[str, Any]:
    return {
        "status": list(status) or None,
        "created_after": since,
        "created_before": until,
        **others,
    }


def _found(
    target: Target, limit: int, everything: bool, query: dict[str, Any]
) -> tuple[list[dict[str, Any]], str | None]:
    async def pages() -> tuple[list[dict[str, Any]], str | None]:
        asked: dict[str, Any] = query | {"limit": _PAGE if everything else limit}
        page = await target.client.list_executions(**asked)
        items = [item.to_dict() for item in page.items]
        while everything and page.next_cursor:
            asked["cursor"] = page.next_cursor
            page = await target.client.list_executions(**asked)
            items += [item.to_dict() for item in page.items]
        return items, page.next_cursor

    return asyncio.run(pages())
