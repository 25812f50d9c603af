"""Shows executions, and does what is asked for with those that are there."""

from __future__ import annotations

from polos.definition.listing import make_query
from polos.definition.names import check_text
from polos.model.listing import ExecutionQuery
from polos.server.operation import Answer, Call
from polos.server.reading import invalid
from polos.server.requests import ListQuery, PruneBody
from polos.server.views import brief, full

_DAY = 86_400.0


def list_executions(call: Call) -> Answer:
    """One page of a list."""
    page = call.client.list_executions(_query(call.query))
    items = [item.to_dict() for item in page.items]
    return Answer({"items": items, "next_cursor": page.next_cursor})


def get(call: Call) -> Answer:
    """One execution with its steps."""
    return Answer(full(*call.client.progress(call.execution_id), encoded=call.wants_encoded))


def cancel(call: Call) -> Answer:
    """Cancel an execution and its children."""
    return Answer({"cancelled": call.client.cancel(call.execution_id)})


def retry(call: Call) -> Answer:
    """Try a failed execution again."""
    return Answer(brief(call.client.retry(call.execution_id), encoded=call.wants_encoded))


def prune(call: Call) -> Answer:
    """Delete what ended long ago."""
    body: PruneBody = call.body
    return Answer({"deleted": call.client.prune(body.older_than_days * _DAY)})


def _query(asked: ListQuery) -> ExecutionQuery:
    try:
        query = make_query(
            workflow_id=asked.workflow_id,
            status=asked.status,
            session_id=asked.session_id,
            user_id=asked.user_id,
            tag=asked.tag,
            created_after=asked.created_after,
            created_before=asked.created_before,
            parent_execution_id=asked.parent_execution_id,
            limit=asked.limit,
            cursor=asked.cursor,
        )
        # A cursor is made of an id, and who sends it can have made it up.
        check_text("cursor", query.after.id if query.after else None)
    except ValueError as error:
        raise invalid(str(error)) from None
    return query
