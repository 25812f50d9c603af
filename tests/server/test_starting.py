"""Starting workflows through the API."""

from __future__ import annotations

from tests.server.api import Api


def test_a_start_gives_the_execution_and_where_it_is(api: Api) -> None:
    answer = api.http.post("/workflows/api_order/executions", json={"payload": {"id": "a1"}})
    assert answer.status_code == 201
    started = answer.json()
    assert (started["workflow_id"], started["status"]) == ("api_order", "queued")
    assert answer.headers["Location"] == f"/api/polos/executions/{started['id']}"
    assert api.ended(started["id"])["result"] == {"text": "for a1"}
