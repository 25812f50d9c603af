"""Waiting for ends over HTTP."""

from __future__ import annotations

import threading
from uuid import uuid4

from polos.client.watcher import Watcher
from tests.server.api import Api, read_until
from tests.support.processes import until


def test_what_has_ended_is_answered_at_once(api: Api) -> None:
    id_ = api.start("api_order", {"id": "a"})["id"]
    api.ended(id_)
    answer = api.http.get(f"/executions/{id_}/result", params={"timeout": 0})
    assert (answer.status_code, answer.json()["result"]) == (200, {"text": "for a"})


def test_what_has_not_ended_is_shown_as_it_stands(api: Api) -> None:
    id_ = api.start("api_waits")["id"]
    answer = api.http.get(f"/executions/{id_}/result", params={"timeout": 0.2})
    assert answer.status_code == 202
    assert answer.json()["status"] in {"queued", "running", "waiting"}


def test_an_end_is_answered_when_it_comes(api: Api) -> None:
    id_ = api.start("api_waits")["id"]
    cancelled = threading.Timer(0.5, lambda: api.polos.cancel(id_))
    cancelled.start()
    answer = api.http.get(f"/executions/{id_}/result", params={"timeout": 60})
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    cancelled.join()


def test_bad_times_are_refused(lite: Api) -> None:
    id_ = lite.start("api_waits")["id"]
    for timeout in ("-1", "61", "nan", "inf", "soon", ""):
        answer = lite.http.get(f"/executions/{id_}/result", params={"timeout": timeout})
        assert answer.status_code == 422, timeout


def test_the_first_of_several_ends_is_answered(api: Api) -> None:
    ids = [api.start("api_waits")["id"] for _ in range(3)]
    body = {"ids": [*ids, "nothing", ids[0]], "timeout": 0.2}
    assert api.http.post("/executions/wait", json=body).json() == {"items": []}
    cancelled = threading.Timer(0.5, lambda: api.polos.cancel(ids[1]))
    cancelled.start()
    found = api.http.post("/executions/wait", json={**body, "timeout": 60}).json()["items"]
    assert [(it["id"], it["status"]) for it in found] == [(ids[1], "cancelled")]
    api.polos.cancel(ids[2])
    api.ended(ids[2])
    headers = {"Polos-Encoding": "codec"}
    both = api.http.post("/executions/wait", json=body, headers=headers).json()["items"]
    assert [it["id"] for it in both] == ids[1:]
    assert both[0]["encoded"]["status"] == "cancelled"
    cancelled.join()


def test_waiting_needs_ids_and_no_leave_to_change_anything(lite: Api) -> None:
    for body in ({}, {"ids": []}, {"ids": ["x"] * 501}, {"ids": [""]}, {"ids": "x"}):
        assert lite.http.post("/executions/wait", json=body).status_code == 422
    headers = {"Polos-Request": ""}
    waited = lite.http.post("/executions/wait", json={"ids": ["x"], "timeout": 0}, headers=headers)
    assert waited.status_code == 200


def test_who_goes_away_is_not_waited_for(lite: Api) -> None:
    id_ = lite.start("api_waits")["id"]
    watcher = lite.polos.bound.client.watcher
    with lite.asking([f"/executions/{id_}/result?timeout=60"]):
        until(lambda: _is_awaited(watcher, id_))
    until(lambda: not _is_awaited(watcher, id_))


def _is_awaited(watcher: Watcher, execution_id: str) -> bool:
    return execution_id in watcher._waiting


def test_a_thousand_wait_and_others_are_answered(lite: Api) -> None:
    id_ = lite.start("api_waits")["id"]
    watcher, before = lite.polos.bound.client.watcher, threading.active_count()
    with lite.asking([f"/executions/{id_}/result?timeout=60"] * 1000) as lines:
        until(lambda: len(watcher._waiting.get(id_, ())) == 1000, deadline=60)
        assert lite.http.get("/health").status_code == 200
        assert lite.http.get(f"/executions/{uuid4()}").status_code == 404
        # Those that ask the database, and the watcher.
        assert threading.active_count() - before < 30
        lite.polos.cancel(id_)
        answers = [read_until(line, b"}") for line in lines]
    assert all('"status":"cancelled"' in answer for answer in answers)
