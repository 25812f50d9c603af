"""Looking at executions through the API, and steering them."""

from __future__ import annotations

from uuid import uuid4

import pytest

from polos.client import wire
from polos.server.answers import DetailsAnswer, ExecutionAnswer, SummaryAnswer
from tests.server.api import Api
from tests.support.processes import until


def test_an_execution_is_shown_with_its_steps(api: Api) -> None:
    id_ = api.start("api_order", {"id": "a1"}, tags=["eu"])["id"]
    ended = api.ended(id_)
    found = api.http.get(f"/executions/{id_}").json()
    assert found["status"] == "completed"
    assert [step["key"] for step in found["steps"]] == ["charge", "pause", "label"]
    assert (found["payload"], found["result"]) == ({"id": "a1", "price": 1.0}, {"text": "for a1"})
    assert ended.items() <= found.items()


def test_the_answers_have_the_fields_of_their_models_and_no_others(api: Api) -> None:
    id_ = api.start("api_order", {"id": "a1"})["id"]
    brief, headers = api.ended(id_), {"Polos-Encoding": "codec"}
    assert brief.keys() == ExecutionAnswer.model_fields.keys() - {"encoded"}
    full = api.http.get(f"/executions/{id_}", headers=headers).json()
    assert full.keys() == DetailsAnswer.model_fields.keys()
    step, model = full["steps"][0], DetailsAnswer.model_validate(full)
    assert step.keys() == type(model.steps[0]).model_fields.keys()
    listed = api.http.get("/executions", params={"limit": 1}).json()["items"][0]
    assert listed.keys() == SummaryAnswer.model_fields.keys()


def test_the_records_as_they_are_stored_come_along_where_they_are_wanted(api: Api) -> None:
    id_ = api.start("api_order", {"id": "a1"})["id"]
    api.ended(id_)
    found = api.http.get(f"/executions/{id_}", headers={"Polos-Encoding": "codec"}).json()
    execution, progress = api.polos.bound.client.progress(id_)
    assert wire.execution_of(found["encoded"]) == execution
    assert wire.progress_of(found["encoded_progress"]) == progress
    assert "encoded" not in api.ended(id_)


def test_a_failure_is_shown(api: Api) -> None:
    ended = api.ended(api.start("api_fails")["id"])
    assert (ended["status"], ended["error"]) == ("failed", "it is broken")
    assert ended["error_type"] == "ValueError"


def test_lists_are_filtered_and_go_on_where_a_page_ended(api: Api) -> None:
    tag = f"tag {uuid4()}"
    ids = [api.start("api_waits", tags=[tag])["id"] for _ in range(3)]
    first = api.http.get("/executions", params={"tag": tag, "limit": 2}).json()
    assert [it["id"] for it in first["items"]] == ids[:0:-1]
    assert first["items"][0]["tags"] == [tag]
    rest = api.http.get("/executions", params={"tag": tag, "cursor": first["next_cursor"]}).json()
    assert ([it["id"] for it in rest["items"]], rest["next_cursor"]) == (ids[:1], None)
    for wanted, number in (
        ({"status": ["queued", "running", "waiting"]}, 3),
        ({"status": "failed"}, 0),
        ({"workflow_id": "api_waits"}, 3),
        ({"workflow_id": "api_order"}, 0),
        ({"created_before": first["items"][-1]["created_at"]}, None),
        ({"created_after": "2999-01-01"}, 0),
        ({"user_id": "nobody"}, 0),
        ({"session_id": "none"}, 0),
        ({"parent_execution_id": ids[0]}, 0),
    ):
        found = api.http.get("/executions", params={"tag": tag, **wanted}).json()["items"]
        assert number is None or len(found) == number, wanted


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=ten",
        "limit=1&limit=2",
        "status=lost",
        "cursor=no",
        "cursor=MS4A",
        "unknown=1",
        "tag=%00",
        "tag=%ff",
        "tag=" + "x" * 256,
        "created_after=yesterday",
        "created_after=1700000000",
        "created_after=0001-01-01",
        "created_before=9999-12-31T23:59:59-14:00",
        "created_after=",
    ],
)
def test_a_query_that_does_not_fit_is_refused(lite: Api, query: str) -> None:
    answer = lite.http.get(f"/executions?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "InvalidRequest"), answer.text


def test_cancelling(api: Api) -> None:
    id_ = api.start("api_waits")["id"]
    assert api.http.post(f"/executions/{id_}/cancel").json() == {"cancelled": True}
    assert api.ended(id_)["status"] == "cancelled"
    assert api.http.post(f"/executions/{id_}/cancel", json={}).json() == {"cancelled": False}


def test_retrying_what_failed(api: Api) -> None:
    id_ = api.start("api_fails")["id"]
    api.ended(id_)
    answer = api.http.post(f"/executions/{id_}/retry")
    assert (answer.status_code, answer.json()["id"]) == (200, id_)
    assert answer.json()["retried"] == 1


def test_retrying_what_has_not_failed(api: Api) -> None:
    id_ = api.start("api_order", {"id": "a"})["id"]
    api.ended(id_)
    answer = api.http.post(f"/executions/{id_}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "IllegalTransition")
    assert answer.json()["status"] == 409
    assert answer.json()["arguments"]["status"] == "completed"


def test_forking(api: Api) -> None:
    id_ = api.start("api_order", {"id": "a"})["id"]
    api.ended(id_)
    body = {"from_step": "label", "payload": {"id": "b"}, "execution_id": str(uuid4())}
    answer = api.http.post(f"/executions/{id_}/fork", json=body)
    assert (answer.status_code, answer.json()["forked_from"]) == (201, id_)
    assert answer.headers["Location"] == f"/api/polos/executions/{body['execution_id']}"
    assert api.ended(body["execution_id"])["result"] == {"text": "for b"}
    again = api.http.post(f"/executions/{id_}/fork", json=body)
    assert again.json()["id"] == body["execution_id"]
    unknown = api.http.post(f"/executions/{id_}/fork", json={"from_step": "nothing"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "StepNotFound")
    assert unknown.json()["arguments"]["known"] == ["charge", "pause", "label"]
    bad = api.http.post(f"/executions/{id_}/fork", json={"payload": {}})
    assert (bad.status_code, bad.json()["code"]) == (422, "InvalidPayload")


def test_pruning(api: Api) -> None:
    id_ = api.start("api_order", {"id": "a"})["id"]
    api.ended(id_)
    assert api.http.post("/prune", json={"older_than_days": 1}).json() == {"deleted": 0}
    assert api.http.post("/prune", json={"older_than_days": 0}).json()["deleted"] >= 1
    assert api.http.get(f"/executions/{id_}").status_code == 404


@pytest.mark.parametrize("body", [{}, {"older_than_days": -1}, {"older_than_days": 36_501}])
def test_what_can_not_be_pruned(lite: Api, body: dict[str, int]) -> None:
    assert lite.http.post("/prune", json=body).status_code == 422


@pytest.mark.parametrize("id_", ["nothing", "a%00b", "x" * 256, "%F0%9F%92%A9", "..%2f..%2fetc"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/executions/{}"),
        ("GET", "/executions/{}/result"),
        ("GET", "/executions/{}/events"),
        ("POST", "/executions/{}/cancel"),
        ("POST", "/executions/{}/retry"),
        ("POST", "/executions/{}/fork"),
    ],
)
def test_an_execution_that_there_is_not(lite: Api, method: str, path: str, id_: str) -> None:
    answer = lite.http.request(method, path.format(id_))
    assert (answer.status_code, answer.json()["code"]) == (404, "ExecutionNotFound")


def test_the_workflows_are_listed(api: Api) -> None:
    listed = {it["id"]: it for it in api.http.get("/workflows").json()["items"]}
    assert listed["api_order"]["description"] == "Charges and ships an order."
    assert listed["api_order"]["payload_schema"]["required"] == ["id"]
    assert listed["api_order"]["defined_here"]
    assert api.http.get("/workflows/api_order").json()["id"] == "api_order"
    assert api.http.get("/workflows/nothing").json()["code"] == "WorkflowNotFound"
    assert api.http.get("/workflows/a%00b").status_code == 404


def test_a_workflow_is_said_to_have_a_worker_when_one_has_reported(api: Api) -> None:
    until(lambda: api.http.get("/workflows/api_order").json()["has_worker"])
