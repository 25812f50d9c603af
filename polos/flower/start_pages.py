"""The pages that start a workflow."""

from __future__ import annotations

from tornado.web import HTTPError

from polos.errors import WorkflowNotFound
from polos.flower.form import form_of
from polos.flower.offers import READ_ONLY
from polos.flower.page import PageHandler
from polos.server.flows import known_flow, known_flows

# What a start takes beside its payload: its name in the API, a label, and what is said about it.
OPTIONS = (
    ("session_id", "Session", "A label to find it by."),
    ("user_id", "User", "A label to find it by."),
    ("tags", "Tags", "With commas between them."),
    ("idempotency_key", "Idempotency key", "A second start with it gives the first execution."),
    ("queue", "Queue", "The Celery queue; empty: the workflow's own."),
)


class StartListPage(PageHandler):
    """The workflows that can be started."""

    async def get(self) -> None:
        """Show them all."""
        client = self.served.client(self.project_id)
        flows = await self.ask(known_flows, client)
        self.render("polos-start-list.html", flows=flows, **_common(self))


class StartPage(PageHandler):
    """The form that starts one workflow."""

    async def get(self, workflow_id: str) -> None:
        """Show it, with a field for each part of the payload."""
        client = self.served.client(self.project_id)
        try:
            flow = await self.ask(known_flow, client, workflow_id)
        except WorkflowNotFound as error:
            raise HTTPError(404, reason="Not Found", log_message=str(error)) from error
        reason = "" if self.caller.may_change else READ_ONLY
        self.render(
            "polos-start.html",
            flow=flow,
            field=form_of(flow["payload_schema"]),
            options=OPTIONS,
            reason=reason,
            **_common(self),
        )


def _common(page: PageHandler) -> dict[str, object]:
    return {"project_id": page.project_id, "projects": ()}
