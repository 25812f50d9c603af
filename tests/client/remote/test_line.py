"""What is asked again, what is not, and what is told when there is no answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from polos import (
    AccessDenied,
    CodecError,
    ConfigurationError,
    ExecutionExists,
    ExecutionNotFound,
    PolosError,
    RequestRefused,
    ServerError,
    ServerUnavailable,
    StoreUnavailable,
)
from polos.client import wire
from polos.client.problems import problem_members
from polos.client.remote import Address, RemoteClient, line
from polos.model.ports import StartRequest
from polos.model.records import Execution, ExecutionId, Micros
from polos.model.states import Status
from tests.client.remote.server import Answering, Asked, Cut, Told, served
from tests.support.servers import HOST, free_port

KEY = "polos_very_secret"


def execution(id_: str, status: Status = Status.QUEUED) -> Execution:
    return Execution(ExecutionId(id_), "greet", "shop", status, b"{}", Micros(5))


def shown(found: Execution) -> dict[str, Any]:
    return {"id": found.id, "encoded": wire.to_json(found)}


def started(asked: Asked) -> Told:
    return Told(201, shown(execution(asked.body["execution_id"])))


def problem(error: PolosError, status: int, **headers: str) -> Told:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Told(status, {"detail": str(error), **problem_members(error)}, named)


class Scripted:
    """Answers one after the other; the last one again and again."""

    def __init__(self, *answers: Told | type[Cut] | Answering) -> None:
        self._answers = list(answers)

    def __call__(self, asked: Asked) -> Told:
        now = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(now, type):
            raise now
        return now if isinstance(now, Told) else now(asked)


def client_of(url: str, **given: Any) -> RemoteClient:
    return RemoteClient(Address.of(url, KEY), **given)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "_SHORTEST_PAUSE", 0.001)
    monkeypatch.setattr(line, "FIRST_PATIENCE", 0.2)


REQUEST = StartRequest("greet", b"{}")


def test_who_asks_is_in_the_headers() -> None:
    with served(lambda _: Told(200, {"cancelled": True})) as server:
        assert client_of(server.url, project_id="größe 1%").cancel("e1")
        [asked] = server.asked
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert wire.project_of(asked.headers["polos-project"]) == "größe 1%"
    assert asked.headers["polos-encoding"] == "codec"
    assert asked.headers["polos-request"] == "1"
    assert asked.headers["content-type"] == "application/json"
    assert (asked.method, asked.path) == ("POST", "/api/polos/executions/e1/cancel")


def test_without_a_project_none_is_named() -> None:
    with served(lambda _: Told(200, {"cancelled": True})) as server:
        client_of(server.url).cancel("e1")
        assert "polos-project" not in server.asked[0].headers


def test_a_cookie_that_one_key_was_given_is_not_sent_with_another_one() -> None:
    cookie = {"Set-Cookie": "session=of-the-first; Path=/"}
    with served(lambda _: Told(200, {"cancelled": True}, cookie)) as server:
        client_of(server.url).cancel("e1")
        RemoteClient(Address.of(server.url, "polos_another")).cancel("e1")
        assert ["cookie" in asked.headers for asked in server.asked] == [False, False]


def test_what_is_behind_a_path_is_found() -> None:
    with served(started) as server:
        client_of(server.url + "/flows/").start(REQUEST)
        assert server.asked[0].path == "/flows/api/polos/workflows/greet/executions"


@pytest.mark.parametrize(
    "trouble",
    [
        Cut,
        Told(502, "<html>bad gateway"),
        Told(503, {"detail": "restarting"}, {"Retry-After": "0"}),
        Told(504, "<html>slow"),
        Told(429, {"detail": "too many"}),
        problem(StoreUnavailable("of the server", "gone", True), 503),
    ],
    ids=["cut", "502", "503", "504", "429", "store"],
)
def test_a_start_that_may_have_been_heard_is_repeated_under_its_id(
    trouble: Told | type[Cut],
) -> None:
    with served(Scripted(trouble, trouble, started)) as server:
        found = client_of(server.url).start(REQUEST)
        ids = [asked.body["execution_id"] for asked in server.asked]
    assert ids == [found.id] * 3


def test_a_batch_that_may_have_been_heard_is_repeated_under_its_ids() -> None:
    def all_started(asked: Asked) -> Told:
        items = [shown(execution(it["execution_id"])) for it in asked.body["items"]]
        return Told(201, {"items": items})

    with served(Scripted(Cut, all_started)) as server:
        found = client_of(server.url).start_many([REQUEST, replace(REQUEST, execution_id="mine")])
        first, second = server.asked
    assert first.body == second.body
    assert [it.id for it in found] == [it["execution_id"] for it in first.body["items"]]
    assert found[1].id == "mine"


def test_a_fork_that_may_have_been_heard_is_repeated_under_its_id() -> None:
    with served(Scripted(Cut, started)) as server:
        client_of(server.url).fork("e1", "step", b"{}")
        first, second = server.asked
    assert first.body == second.body
    assert first.body["encoded_payload"] == "{}"


def test_an_id_of_ones_own_that_is_taken_is_an_error_unless_a_try_before_may_have_taken_it() -> (
    None
):
    mine = replace(REQUEST, execution_id="mine")
    there = Told(200, shown(execution("mine")))
    with served(Scripted(there)) as server:
        with pytest.raises(ExecutionExists, match="'mine'"):
            client_of(server.url).start(mine)
        assert client_of(server.url).start(replace(mine, idempotency_key="k")).id == "mine"
    with served(Scripted(Cut, there)) as server:
        assert client_of(server.url).start(mine).id == "mine"


@pytest.mark.parametrize("ask", ["retry", "prune"])
def test_what_would_be_done_twice_is_not_repeated(ask: str) -> None:
    with served(Scripted(Cut, Told(200, {"deleted": 3}))) as server:
        client = client_of(server.url)
        with pytest.raises(ServerUnavailable) as caught:
            client.retry("e1") if ask == "retry" else client.prune(5.0)
        assert len(server.asked) == 1
    assert caught.value.uncertain


def test_what_was_not_heard_is_asked_again_whatever_it_is() -> None:
    with served(Scripted(Told(429, {"detail": "later"}), Told(200, {"deleted": 3}))) as server:
        assert client_of(server.url).prune(86_400.0) == 3
        assert server.asked[1].body == {"older_than_days": 1.0}


def test_a_cancel_whose_answer_was_lost_tells_what_came_of_it() -> None:
    late = Told(200, {"cancelled": False})
    cancelled = Told(200, shown(execution("e1", Status.CANCELLED)))
    with served(Scripted(Cut, late, cancelled)) as server:
        assert client_of(server.url).cancel("e1")
    completed = Told(200, shown(execution("e1", Status.COMPLETED)))
    with served(Scripted(Cut, late, completed)) as server:
        assert not client_of(server.url).cancel("e1")
    with served(Scripted(late)) as server:
        assert not client_of(server.url).cancel("e1")
        assert len(server.asked) == 1


def test_the_server_says_when_it_wants_to_be_asked_again() -> None:
    later = Told(503, {"detail": "restarting"}, {"Retry-After": "1"})
    with served(Scripted(later, started)) as server:
        began = time.monotonic()
        client_of(server.url).start(REQUEST)
        assert time.monotonic() - began >= 1
        assert len(server.asked) == 2


@pytest.mark.parametrize("after", ["3600", "Fri, 31 Dec 2100 23:59:59 GMT", "inf"])
def test_nobody_waits_longer_than_he_would_have(after: str) -> None:
    error = StoreUnavailable("of the server", "gone")
    with served(Scripted(problem(error, 503, Retry_After=after))) as server:
        with pytest.raises(StoreUnavailable) as caught:
            client_of(server.url).get("e1")
        assert len(server.asked) == 1
    assert (type(caught.value), str(caught.value)) == (StoreUnavailable, str(error))


@pytest.mark.parametrize("after", ["", "soon", "-5", "nan", "Fri, 31 Dec 1999 23:59:59 GMT"])
def test_what_is_no_time_to_wait_is_none(after: str) -> None:
    later = Told(503, {"detail": "restarting"}, {"Retry-After": after})
    with served(Scripted(later, started)) as server:
        client_of(server.url).start(REQUEST)
        assert len(server.asked) == 2


def test_a_server_that_was_not_started_is_named_with_the_command_that_starts_it() -> None:
    url = f"http://{HOST}:{free_port()}"
    with pytest.raises(ServerUnavailable, match="polos server start") as caught:
        client_of(url).start(REQUEST)
    assert url in str(caught.value)
    assert not caught.value.uncertain
    assert KEY not in str(caught.value)


def test_a_server_that_is_gone_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "PATIENCE", 1.0)
    with served(started) as server:
        client = client_of(server.url)
        client.start(REQUEST)
    began = time.monotonic()
    with pytest.raises(ServerUnavailable):
        client.start(REQUEST)
    assert time.monotonic() - began > 0.2


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (Told(401, {"code": "Unauthorized", "detail": "no key"}), AccessDenied, "POLOS_API_KEY"),
        (Told(403, {"code": "Forbidden", "detail": "not yours"}), AccessDenied, "not yours"),
        (Told(401, "<html>log in"), AccessDenied, "api_key"),
        (Told(422, {"code": "Invalid", "detail": "tags: too many"}), RequestRefused, "too many"),
        (Told(404, "<html>"), ServerError, "text/html, where JSON was expected"),
        (Told(500, {"code": "InternalError", "detail": "log"}), ServerError, "server's log"),
        (Told(200, "<html>hello"), ServerError, "answered 200: OK, as text/html"),
        (Told(302, "", {"Location": "https://x/login"}), ServerError, "https://x/login"),
        (Told(200, {}), CodecError, "no 'encoded'"),
        (Told(200, []), CodecError, "no 'encoded'"),
        (Told(200, {"encoded": {"id": 1}}), CodecError, "this is no Execution"),
        (problem(ExecutionNotFound("e1"), 404), ExecutionNotFound, "no execution 'e1'"),
    ],
)
def test_what_is_told_of_an_answer(answer: Told, kind: type[PolosError], text: str) -> None:
    with served(Scripted(answer)) as server:
        with pytest.raises(kind) as caught:
            client_of(server.url).get("e1")
        assert len(server.asked) == 1
    assert type(caught.value) is kind
    assert text in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_proxy_that_has_no_server_behind_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "PATIENCE", 0.1)
    with served(Scripted(Told(502, "<html>" * 10_000))) as server:
        with pytest.raises(ServerUnavailable, match="answered 502: Bad Gateway") as caught:
            client_of(server.url).get("e1")
        assert server.url in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_transaction_can_not_be_joined_from_afar() -> None:
    with pytest.raises(ConfigurationError, match="connection= .*without api_url"):
        client_of("http://host").start(replace(REQUEST, connection=object()))


def test_no_key_gets_into_a_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), served(Scripted(Cut, started)) as server:
        client_of(server.url).start(REQUEST)
    assert "execution" in caplog.text
    assert KEY not in caplog.text


def test_proxies_of_the_environment_are_not_asked_for_this_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = f"http://{HOST}:{free_port()}"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, gone)
    with served(started) as server:
        assert client_of(server.url).start(REQUEST).workflow_id == "greet"
        elsewhere = client_of("http://polos.example.org")
        with pytest.raises(ServerUnavailable, match="All connection attempts failed"):
            elsewhere.start(REQUEST)


Method = Callable[[RemoteClient], object]


@pytest.mark.parametrize(
    "ask",
    [
        lambda it: it.get("e1"),
        lambda it: it.progress("e1"),
        lambda it: it.cancel("e1"),
        lambda it: it.retry("e1"),
        lambda it: it.fork("e1", None, None),
        lambda it: it.prune(0.0),
        lambda it: it.start(REQUEST),
        lambda it: it.start_many([REQUEST]),
        lambda it: it.seen_workflows(),
    ],
)
@pytest.mark.parametrize("body", [[], {"items": [7]}, {"encoded": 7}, 7, None, "text"])
def test_nonsense_is_an_error_of_polos(ask: Method, body: Any) -> None:
    with served(lambda _: Told(200, body)) as server, pytest.raises(PolosError):
        ask(client_of(server.url))
