"""Answers when something has ended; whoever waits holds no thread meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from polos.errors import WorkflowTimeoutError
from polos.model.records import Execution
from polos.server.operation import Answer, Call
from polos.server.requests import PollQuery, WaitBody
from polos.server.views import brief


async def result(call: Call) -> Answer:
    """One execution as soon as it has ended, or as it stands when the time is over."""
    query: PollQuery = call.query
    client, ask = call.client, call.ask
    execution = await ask(client.get, call.execution_id)
    if not execution.status.ended and query.timeout:
        try:
            execution = await client.wait_async(execution.id, query.timeout)
        except WorkflowTimeoutError:
            execution = await ask(client.get, execution.id)
    shown = await ask(lambda: brief(execution, encoded=call.wants_encoded))
    return Answer(shown, 200 if execution.status.ended else 202)


async def wait(call: Call) -> Answer:
    """Those of some executions that have ended, as soon as there is one."""
    body: WaitBody = call.body
    ended = await _ended(call, body.ids, body.timeout)
    shown = await call.ask(lambda: [brief(it, encoded=call.wants_encoded) for it in ended])
    return Answer({"items": shown})


async def _ended(call: Call, ids: Sequence[str], timeout: float) -> list[Execution]:
    client, wanted = call.client, list(dict.fromkeys(ids))
    found = await call.ask(lambda: client.store.ended(wanted))
    if not found and timeout and await client.watcher.first_ended(wanted, timeout):
        found = await call.ask(lambda: client.store.ended(wanted))
    return [found[id_] for id_ in wanted if id_ in found]
