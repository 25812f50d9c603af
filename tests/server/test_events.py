"""Following executions over HTTP, by server-sent events."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import httpx
import pytest

from polos.errors import StoreUnavailable
from polos.server import events, hub
from polos.server.hub import Hub
from polos.server.served import served_of
from tests.server.api import Api, read_until
from tests.support.processes import until

Event = dict[str, Any]


@contextmanager
def following(api: Api, id_: str, **headers: str) -> Iterator[Iterator[Event]]:
    """The events of an execution, one by one; a comment is one without a name."""
    with (
        api.server.client(headers=headers) as http,
        http.stream("GET", f"/executions/{id_}/events") as answer,
    ):
        assert answer.status_code == 200, answer.read()
        assert answer.headers["Content-Type"] == "text/event-stream"
        yield events_of(answer)


def events_of(answer: httpx.Response) -> Iterator[Event]:
    event: Event = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if line == "":
            yield event
            event = {}
        elif name == "data":
            event["data"] = json.loads(value)
        else:
            event[name or "comment"] = value


def hub_of(api: Api) -> Hub:
    served = served_of(api.polos.bound.app)
    assert served is not None
    return served.part(Hub)


def test_progress_is_told_until_the_end(api: Api) -> None:
    id_ = api.start("api_waits")["id"]
    with following(api, id_) as told:
        assert next(told) == {"retry": "2000"}
        seen = next(told)
        while seen["data"]["status"] != "waiting":
            seen = next(told)
        assert seen["event"] == "progress"
        assert seen["data"]["steps_done"] == 1
        current = seen["data"]["current"]
        assert [(it["key"], it["kind"], it["status"]) for it in current] == [
            ("long", "wait", "waiting")
        ]
        assert current[0]["due_at"] is not None
        api.polos.cancel(id_)
        last = [*told][-1]
    assert (last["event"], last["data"]["status"]) == ("end", "cancelled")
    assert hub_of(api).open_streams == 0


def test_a_step_that_is_tried_again_is_told(lite: Api) -> None:
    id_ = lite.start("api_stumbles")["id"]
    with following(lite, id_) as told:
        seen = next(it for it in told if it.get("data", {}).get("current"))
        assert seen["data"]["current"][0]["status"] in {"retrying", "executing"}
    lite.polos.cancel(id_)


def test_what_has_ended_is_told_at_once(api: Api) -> None:
    id_ = api.start("api_order", {"id": "a"})["id"]
    api.ended(id_)
    with following(api, id_) as told:
        assert [it.get("event") for it in told] == [None, "end"]


def test_who_comes_again_hears_what_is_new_only(lite: Api) -> None:
    id_ = lite.start("api_waits")["id"]
    until(lambda: lite.polos.get(id_).status == "waiting")
    with following(lite, id_) as told:
        next(told)
        seen = next(told)
    with following(lite, id_, **{"Last-Event-ID": seen["id"]}) as told:
        next(told)
        lite.polos.cancel(id_)
        rest = [*told]
    assert seen["id"] not in [it["id"] for it in rest]
    last = rest[-1]
    assert last["event"] == "end"
    with following(lite, id_, **{"Last-Event-ID": seen["id"]}) as told:
        assert [it.get("event") for it in told] == [None, "end"]
    again = lite.http.get(f"/executions/{id_}/events", headers={"Last-Event-ID": last["id"]})
    assert (again.status_code, again.content) == (204, b"")


def test_silence_is_broken_by_comments(lite: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.2)
    id_ = lite.start("api_waits")["id"]
    with following(lite, id_) as told:
        assert next(it for it in told if "comment" in it) == {"comment": "still here"}


def test_streams_go_on_after_trouble_with_the_database(
    lite: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[Exception] = [StoreUnavailable("u", "away"), RuntimeError("odd")]

    def failing(database: Any, project: str, ids: Any) -> Any:
        if failures:
            raise failures.pop()
        return pulses(database, project, ids)

    pulses = hub.pulses
    id_ = lite.start("api_waits")["id"]
    with following(lite, id_) as told:
        next(told)
        next(told)
        monkeypatch.setattr(hub, "pulses", failing)
        until(lambda: not failures)
        lite.polos.cancel(id_)
        assert [*told][-1]["event"] == "end"
    # The first of it is told, the rest would only repeat that.
    assert [it.levelname for it in caplog.records if "watching" in it.message] == ["WARNING"]


def test_a_deleted_execution_ends_its_stream(lite: Api) -> None:
    id_ = lite.start("api_waits")["id"]
    with following(lite, id_) as told:
        next(told)
        next(told)
        stream = next(iter(hub_of(lite)._streams.values()))
        assert stream
        lite.polos.cancel(id_)
        lite.ended(id_)
        lite.http.post("/prune", json={"older_than_days": 0})
        last = [*told][-1]
    assert (last["event"], last["data"]["status"]) in {("end", "cancelled"), ("end", None)}


def test_a_head_gets_no_stream(lite: Api) -> None:
    id_ = lite.start("api_waits")["id"]
    answer = lite.http.head(f"/executions/{id_}/events")
    assert (answer.status_code, answer.content) == (200, b"")


def test_streams_share_one_look(lite: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def counted(database: Any, project: str, ids: Any) -> Any:
        looks.append(len(ids))
        return pulses(database, project, ids)

    pulses = hub.pulses
    monkeypatch.setattr(hub, "pulses", counted)
    monkeypatch.setattr(hub, "EVERY", 0.2)
    ids = [lite.start("api_waits")["id"] for _ in range(3)]
    with many(lite, ids * 20):
        until(lambda: hub_of(lite).open_streams == 60)
        looks.clear()
        until(lambda: len(looks) >= 5)
        assert set(looks) == {3}
    until(lambda: hub_of(lite).open_streams == 0)
    looking = hub_of(lite)._looking
    assert looking is not None
    until(looking.done)


def many(api: Api, ids: list[str]) -> AbstractContextManager[list[socket.socket]]:
    """Streams that nobody reads."""
    return api.asking([f"/executions/{id_}/events" for id_ in ids])


def test_a_thousand_streams_leave_the_api_answering(lite: Api) -> None:
    ids = [lite.start("api_waits")["id"] for _ in range(20)]
    before = threading.active_count()
    with many(lite, ids * 50) as lines:
        until(lambda: hub_of(lite).open_streams == 1000, deadline=60)
        assert threading.active_count() - before < 30
        done = lite.start("api_order", {"id": "beside"})
        assert lite.ended(done["id"])["status"] == "completed"
        assert lite.http.get("/executions").status_code == 200
        for id_ in ids:
            lite.polos.cancel(id_)
        texts = [read_until(line, b"0\r\n\r\n") for line in lines]
        assert all("event: end" in text for text in texts)
    until(lambda: hub_of(lite).open_streams == 0)


def test_more_streams_than_there_may_be_are_refused(
    lite: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "MOST_STREAMS", 2)
    id_ = lite.start("api_waits")["id"]
    with many(lite, [id_, id_]):
        until(lambda: hub_of(lite).open_streams == 2)
        answer = lite.http.get(f"/executions/{id_}/events")
        assert (answer.status_code, answer.json()["code"]) == (503, "TooManyStreams")
        assert answer.headers["Retry-After"]
    until(lambda: hub_of(lite).open_streams == 0)


def test_who_does_not_read_is_dropped(lite: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_PATIENCE", 0.5)
    monkeypatch.setattr(events, "HEARTBEAT", 0.01)
    monkeypatch.setattr(events, "_COMMENT", ": " + "x" * 100_000 + "\n\n")
    id_ = lite.start("api_waits")["id"]
    with many(lite, [id_]) as lines:
        until(lambda: hub_of(lite).open_streams == 1)
        # Until the buffers of the system are full, and then for as long as it may take.
        until(lambda: hub_of(lite).open_streams == 0)
        assert _is_cut(lines[0])


def _is_cut(line: socket.socket) -> bool:
    """Whether a connection ends without the end of its answer."""
    line.settimeout(30)
    text = b""
    with suppress(ConnectionResetError):
        while part := line.recv(1 << 20):
            text = part
    return not text.endswith(b"0\r\n\r\n")


def test_a_stream_that_lasts_is_ended_for_whoever_reads_it_to_come_again(
    lite: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_LONGEST", 0.3)
    id_ = lite.start("api_waits")["id"]
    with following(lite, id_) as told:
        assert {it.get("event") for it in told} == {None, "progress"}
