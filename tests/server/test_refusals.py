"""What is answered to requests that can't be done."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from polos import Polos, errors
from polos.client.problems import error_of
from polos.server import operation
from polos.server.problems import STATUSES, Problem, problem_of, status_of
from polos.server.routes import ALL
from polos.server.served import Served
from polos.store.migrate import remove
from tests.server import flows
from tests.server.api import Api, read_until
from tests.support.api_server import ApiServer
from tests.support.processes import until
from tests.support.servers import HOST, PostgresServer, free_port

JSON = {"Content-Type": "application/json"}
JSON_LINE = "Content-Type: application/json"


def _all_errors(kind: type[errors.PolosError] = errors.PolosError) -> Iterator[type]:
    yield kind
    for found in kind.__subclasses__():
        yield from _all_errors(found)


def test_every_error_has_a_status_and_only_the_server_s_own_are_its_fault() -> None:
    of_the_server = {errors.StoreError, errors.ServerError, errors.PolosError}
    for kind in _all_errors():
        status = status_of(kind)
        assert 400 <= status < 600
        own = any(issubclass(kind, it) for it in of_the_server - {errors.PolosError})
        assert own or status < 500 or kind in {errors.PolosError, errors.WorkflowTimeoutError}
    assert set(STATUSES) <= set(_all_errors())


def test_a_client_makes_the_same_error_of_a_problem() -> None:
    for error in (
        errors.ExecutionNotFound("a"),
        errors.IllegalTransition("a", "running", "retry", "wait"),
        errors.StepNotFound("a", "s", ["x", "y"]),
        errors.WorkflowNotFound("w", ["x"]),
        errors.ValueTooLarge(5, 4),
        errors.InvalidPayload("it does not fit"),
        errors.ExecutionExists("a"),
    ):
        problem = problem_of(error)
        made = error_of(json.loads(json.dumps(problem.to_dict())), problem.status, "http://x")
        assert (type(made), made.args, str(made)) == (type(error), error.args, str(error))


def test_a_problem_does_not_tell_where_the_database_is() -> None:
    away = problem_of(errors.StoreUnavailable("postgresql://u@secret/db", "no route", True))
    old = problem_of(errors.SchemaError("postgresql://u@secret/db", "0001", "0006"))
    for problem in (away, old):
        assert problem.status == 503
        assert problem.headers["Retry-After"]
        assert "secret" not in json.dumps(problem.to_dict())
    assert problem_of(errors.StoreUnavailable("u", "r", True)).members["arguments"]["uncertain"]
    assert problem_of(RuntimeError("a secret")).detail == problem_of(OSError()).detail


def test_every_answer_to_a_bad_request_is_a_problem(lite: Api) -> None:
    for answer in (
        lite.http.get("/nothing"),
        lite.http.post("/nothing", json={}),
        lite.http.delete("/executions"),
        lite.http.request("PATCH", "/executions/x"),
        lite.http.request("TRACE", "/executions"),
        lite.http.post("/executions/%ff/cancel", json={}),
        lite.http.post("/prune", content=b"{", headers=JSON),
        lite.http.get("/executions/%ff"),
        lite.http.get("/executions?limit=0"),
    ):
        assert answer.headers["Content-Type"] == "application/problem+json", answer.request
        told = answer.json()
        assert told["status"] == answer.status_code
        assert told.keys() >= {"type", "title", "status", "detail", "code"}
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/executions/x/nothing", "/executions/"])
def test_an_address_that_there_is_not(lite: Api, path: str) -> None:
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        answer = httpx.request(method, lite.server.base + path, trust_env=False)
        assert (answer.status_code, answer.json()["code"]) == (404, "NotFound")


def test_a_wrong_method_is_told_which_ones_there_are(lite: Api) -> None:
    for method, path, allowed in (
        ("DELETE", "/executions", {"GET", "POST", "HEAD", "OPTIONS"}),
        ("GET", "/prune", {"POST", "OPTIONS"}),
        ("HEAD", "/prune", {"POST", "OPTIONS"}),
        ("TRACE", "/executions/x/events", {"GET", "HEAD", "OPTIONS"}),
        ("PATCH", "/executions/x/events", {"GET", "HEAD", "OPTIONS"}),
    ):
        answer = lite.http.request(method, path)
        assert answer.status_code == 405
        assert set(answer.headers["Allow"].split(", ")) == allowed
    # One that Tornado does not know: it closes the connection, and says so.
    assert answer.headers.get("Connection") is None
    unknown = lite.http.request("TRACE", "/executions")
    assert unknown.headers["Connection"] == "close"
    options = lite.http.options("/executions")
    assert (options.status_code, options.content) == (204, b"")
    assert set(options.headers["Allow"].split(", ")) == {"GET", "POST", "HEAD", "OPTIONS"}


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff", b"NaN", b'{"a":', b"[" * 200_000, b"1" * 5000, b'{"older_than_days": NaN}'],
)
def test_what_is_no_json(lite: Api, body: bytes) -> None:
    answer = lite.http.post("/prune", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "BadJson")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/jsonx", 415),
        ("", 415),
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
    ],
)
def test_content_types(lite: Api, kind: str, status: int) -> None:
    body = b'{"older_than_days": 30000}'
    answer = lite.http.post("/prune", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text


def test_a_body_may_be_left_out_where_nothing_has_to_be_said(lite: Api) -> None:
    id_ = lite.start("api_waits")["id"]
    assert lite.http.post(f"/executions/{id_}/cancel").status_code == 200
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert lite.http.post(f"/executions/{id_}/cancel", headers=form).status_code == 415
    assert lite.http.post(f"/executions/{id_}/cancel", json={"a": 1}).status_code == 422
    assert lite.http.post("/prune").status_code == 422


@pytest.mark.parametrize("size", [10 * 1024 * 1024, 30 * 1024 * 1024])
def test_a_body_that_is_too_large(lite: Api, size: int) -> None:
    body = b'{"a": "' + b"x" * size + b'"}'
    for content in (body, iter([body[: size // 2], body[size // 2 :]])):
        answer = lite.http.post("/prune", content=content, headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (413, "BodyTooLarge")


def test_many_starts_have_room_for_more(lite: Api) -> None:
    values = [{"a": "x" * (lite.polos.settings.max_value_bytes - 100)} for _ in range(3)]
    body = {"items": [{"workflow_id": "api_anything", "payload": value} for value in values]}
    answer = lite.http.post("/executions", json=body)
    assert answer.status_code == 201, answer.text[:500]
    assert len(answer.json()["items"]) == 3


def test_bad_project_headers(lite: Api) -> None:
    for project in ("x" * 256, "%00", "%zz", "50%"):
        answer = lite.http.get("/executions", headers={"Polos-Project": project})
        assert (answer.status_code, answer.json()["code"]) == (422, "InvalidRequest"), project
    own = lite.start("api_waits")["id"]
    other = {"Polos-Project": "%C3%A4 other"}
    assert lite.http.get(f"/executions/{own}", headers=other).status_code == 404
    body = {"payload": {"a": 1}}
    made = lite.http.post("/workflows/api_anything/executions", json=body, headers=other).json()
    assert lite.http.get(f"/executions/{made['id']}", headers=other).status_code == 200
    assert lite.http.get(f"/executions/{made['id']}").status_code == 404


def test_what_is_no_http(lite: Api) -> None:
    for text in (b"GET\r\n\r\n", b"GET /api/polos/health HTTP/1.1\r\nContent-Length: x\r\n\r\n"):
        with socket.create_connection((HOST, lite.server.port)) as line:
            line.sendall(text)
            line.settimeout(30)
            assert b" 200 " not in line.recv(1000)
    assert lite.http.get("/health").status_code == 200


@pytest.mark.parametrize(("length", "status"), [("2, 2", b" 422 "), ("x", b" 400 ")])
def test_an_odd_length_of_a_body_is_no_error_of_the_server_s_own(
    lite: Api, length: str, status: bytes
) -> None:
    head = f"Host: localhost\r\nPolos-Request: 1\r\n{JSON_LINE}\r\nContent-Length: {length}"
    with socket.create_connection((HOST, lite.server.port)) as line:
        line.sendall(f"POST /api/polos/prune HTTP/1.1\r\n{head}\r\n\r\n{{}}".encode())
        line.settimeout(30)
        assert status in line.recv(1000).partition(b"\r\n")[0]


def test_one_connection_serves_many_requests(lite: Api) -> None:
    bad = "Host: localhost\r\nPolos-Request: 1\r\nContent-Length: 1\r\n\r\n{"
    request = f"POST /api/polos/prune HTTP/1.1\r\n{bad}"
    good = "GET /api/polos/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection((HOST, lite.server.port)) as line:
        line.sendall((request + good).encode())
        assert "415" in read_until(line, b'"version"')


def test_large_answers_are_packed_for_those_who_can_unpack_them(lite: Api) -> None:
    id_ = lite.start("api_anything", {"a": "x" * 50_000})["id"]
    packed = lite.http.get(f"/executions/{id_}", headers={"Accept-Encoding": "gzip"})
    plain = lite.http.get(f"/executions/{id_}", headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) < 5000
    assert "Content-Encoding" not in plain.headers
    assert packed.json()["payload"] == plain.json()["payload"]
    assert gzip.compress(b"") != b""


def test_a_head_is_a_get_without_a_body(lite: Api) -> None:
    id_ = lite.start("api_waits")["id"]
    for path in ("/health", f"/executions/{id_}", "/executions", "/openapi.json"):
        head, get = lite.http.head(path), lite.http.get(path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert lite.http.head("/executions/nothing").status_code == 404


def test_a_database_that_is_away() -> None:
    url = f"postgresql+psycopg://missing@{HOST}:{free_port()}/polos"
    polos = Polos(database_url=url, workflows=flows.ALL)
    with ApiServer(polos.bound.app) as server, server.client() as http:
        for operation in ALL:
            if operation.is_open:
                continue
            path = operation.path.format(execution_id="x", workflow_id="api_anything")
            body = operation.body_example if operation.body is not None else None
            if operation.name == "start":
                body = {"payload": {}}
            if operation.name == "start_many":
                body = {"items": [{"workflow_id": "api_anything", "payload": {}}]}
            answer = http.request(operation.method, path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (503, "StoreUnavailable"), path
            assert answer.headers["Retry-After"]
            assert "missing" not in answer.text
        assert http.get("/health").status_code == 200
        assert http.get("/openapi.json").status_code == 200
    polos.close()


def test_a_database_that_does_not_answer(
    postgres_server: PostgresServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLOS_AUTO_MIGRATE", "1")
    monkeypatch.setattr(operation, "PATIENCE", 1.0)
    polos = Polos(database_url=postgres_url, workflows=flows.ALL)
    with ApiServer(polos.bound.app) as server, server.client() as http:
        assert http.get("/executions").status_code == 200
        postgres_server.freeze()
        try:
            for path in ("/executions", "/executions/x/result", "/executions/x/events"):
                answer = http.get(path)
                assert (answer.status_code, answer.json()["code"]) == (503, "DatabaseSilent")
                assert answer.headers["Retry-After"]
            assert http.get("/health").status_code == 200
            assert http.get("/ready").status_code == 503
        finally:
            postgres_server.thaw()
        until(lambda: http.get("/executions").status_code == 200)
    polos.close()


def test_a_database_without_its_schema(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLOS_AUTO_MIGRATE", "0")
    polos = Polos(database_url=postgres_url, workflows=flows.ALL)
    with ApiServer(polos.bound.app) as server, server.client() as http:
        answer = http.get("/executions")
        assert (answer.status_code, answer.json()["code"]) == (503, "SchemaError")
        assert "polos migrate" in answer.json()["detail"]
        ready = http.get("/ready")
        assert (ready.status_code, ready.json()["checks"]["schema"]) == (503, "failed")
        assert ready.json()["checks"]["store"] == "ok"
    polos.close()


def test_a_schema_that_goes_away_meanwhile(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLOS_AUTO_MIGRATE", "1")
    polos = Polos(database_url=postgres_url, workflows=flows.ALL)
    with ApiServer(polos.bound.app) as server, server.client() as http:
        assert http.get("/executions").status_code == 200
        remove(polos.bound.store.database)
        answer = http.get("/executions")
        assert (answer.status_code, answer.json()["code"]) == (503, "SchemaError")
    polos.close()


def test_an_app_without_polos_has_no_api() -> None:
    from celery import Celery

    with ApiServer(Celery("bare", broker="memory://", set_as_current=False)) as server:
        answer = httpx.get(f"{server.base}/executions", trust_env=False)
        assert (answer.status_code, answer.json()["code"]) == (404, "NoPolos")


def test_a_mistake_of_the_server_is_told_without_its_text(
    lite: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(Served, "client", broken)
    answer = lite.http.get("/executions")
    assert (answer.status_code, answer.json()["code"]) == (500, "InternalError")
    assert "secret" not in answer.text
    assert isinstance(problem_of(RuntimeError()), Problem)
