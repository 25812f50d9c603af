"""One execution, two messages, two workers: one of them runs it."""

from __future__ import annotations

from polos import PolosClient
from polos.model.records import ExecutionId, Hint
from tests.acceptance import flows
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Workers, received
from tests.support.processes import until


def test_two_workers_get_the_same_message(
    worker: Workers, client: PolosClient, ledger: Ledger
) -> None:
    # Nobody listens yet, so both messages lie there when the workers come.
    handle = flows.interrupted.start(client)
    again = Hint(ExecutionId(handle.id), handle.workflow_id, reason="once more")
    assert client.bound.dispatcher.dispatch([again, again]) == 2
    pair = [worker("solo", name="one", ready=False), worker("threads", name="two", ready=False)]
    ledger.wait_for(handle.id, "slow")
    nothing = f"execution={handle.id} workflow={handle.workflow_id}: nothing to do"
    until(lambda: any(nothing in each.text() for each in pair), 60, message=nothing)
    ledger.open_gate(handle.id)
    assert handle.result_sync(60) == [0, 1, 2, 3]
    until(lambda: sum(received(each, handle) for each in pair) >= 3, 60, message="the third")
    assert ledger.runs(handle.id) == {"step0": 1, "step1": 1, "slow": 1, "last": 1}
    succeeded = f"[{handle.id}] succeeded"
    until(lambda: any(succeeded in each.text() for each in pair), 30, message=succeeded)
    assert sum(each.text().count(succeeded) for each in pair) == 1
