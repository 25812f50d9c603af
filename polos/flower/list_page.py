"""The list of executions."""

from __future__ import annotations

from tornado.web import authenticated

from polos.flower.page import PageHandler
from polos.model.listing import ExecutionQuery


class ListPage(PageHandler):
    """Executions, newest first."""

    @authenticated
    async def get(self) -> None:
        """Show one page of the list."""
        client = self.served.client(self.project_id)
        page = await self.ask(client.list_executions, ExecutionQuery())
        self.render("polos-list.html", page=page, project_id=self.project_id)
