"""Each line of the table of attacks in docs/security.md, tried on a Flower that runs by itself."""

from __future__ import annotations

import gzip
import json
import re
import resource
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.attacked import BASE, WORKFLOW, Attacked, attacked
from tests.server import flows  # noqa: F401
from tests.support.processes import ROOT, until
from tests.support.servers import PostgresServer, RedisServer

EXECUTIONS = f"{BASE}/executions"
JSON = {"Content-Type": "application/json"}
CHANGE = {"Polos-Request": "1"}
BY_PROXY = {"X-Forwarded-For": "203.0.113.7"}
SCRIPT = "<script>alert('polos')</script>\"'><img src=x onerror=alert(1)>"
SQL = ("' OR '1'='1", "'; DROP TABLE polos_executions; --", '"', "\\", "%", "1) UNION SELECT 1--")
MANY = 1_000


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, _redis: RedisServer, _postgres: PostgresServer
) -> Iterator[Attacked]:
    """Without any authentication of Flower's: the most open that there is."""
    folder = tmp_path_factory.mktemp("attacked")
    _redis.start().flush()
    with (
        _postgres.start().fresh_database() as url,
        attacked(folder, _redis.url, url, POLOS_REDACT="password") as made,
    ):
        made.start({"n": 1}, execution_id="mine", tags=("eu",), session_id="s", user_id="u")
        yield made


@pytest.fixture(scope="module")
def guarded(site: Attacked, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """Another one on the same store, that may only be read, and asks for a password."""
    settings = site.client.settings
    folder = tmp_path_factory.mktemp("guarded")
    options = ("--basic_auth=ann:secret", "--read_only")
    with attacked(folder, settings.broker_url, settings.database_url, *options) as made:
        yield made


def operations(site: Attacked) -> list[tuple[str, str]]:
    """The method and the path of all that needs to know who asks."""
    document = site.http.get(f"{BASE}/openapi.json").json()
    open_ones = ("/health", "/ready", "/openapi.json")
    found = [
        (method.upper(), _path(path))
        for path, methods in document["paths"].items()
        for method in methods
        if method in {"get", "post", "put", "patch", "delete"} and not path.endswith(open_ones)
    ]
    assert len(found) >= 13
    return found


def _path(template: str) -> str:
    path = template.replace("{execution_id}", "mine").replace("{workflow_id}", WORKFLOW)
    assert "{" not in path
    return path if path.startswith(BASE) else f"{BASE}{path}"


def ask(site: Attacked, method: str, path: str, **headers: str) -> httpx.Response:
    """Send a request that would do, but for its headers."""
    query = {"timeout": "0"} if path.endswith("/result") else {}
    bodies: dict[str, Any] = {
        f"{EXECUTIONS}/wait": {"ids": ["mine"], "timeout": 0},
        f"{BASE}/prune": {"older_than_days": 0},
        EXECUTIONS: {"items": []},
    }
    body = bodies.get(path, {}) if method == "POST" else None
    return site.http.request(method, path, params=query, json=body, headers=headers)


def is_problem(answer: httpx.Response) -> bool:
    """Whether it says what is wrong, as the API does, and as data only."""
    told = answer.headers["Content-Type"].startswith("application/problem+json")
    return told and answer.headers["X-Content-Type-Options"] == "nosniff"


def test_no_key(site: Attacked) -> None:
    for method, path in operations(site):
        answer = ask(site, method, path, **CHANGE, **BY_PROXY)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="polos"'
        assert is_problem(answer)


def test_malformed_key(site: Attacked) -> None:
    made, own = site.new_key()
    key = own["Authorization"].split()[1]
    wrong = ("", "x", key[:-1], key + "x", key.upper(), f"polos_{made.id}_", f"polos_{'0' * 16}_x",
             "polos_' OR 1=1 --_x", "polos_" + "x" * 5000)  # fmt: skip
    for text in wrong:
        answer = site.http.get(EXECUTIONS, headers={"Authorization": f"Bearer {text}".strip()})
        assert (answer.status_code, is_problem(answer)) == (401, True), text
    for raw in (b"Bearer \xff\xfe\x80", b"Bearer polos_\xc3\xbc"):
        line = site.head(f"GET {EXECUTIONS}", "Authorization: ")[:-4]
        assert b" 40" in site.raw(line + raw + b"\r\n\r\n")[:16]


def test_revoked_key(site: Attacked) -> None:
    made, own = site.new_key()
    assert site.http.get(EXECUTIONS, headers=own).status_code == 200
    site.revoke(made)
    # It is remembered for five seconds.
    until(lambda: site.http.get(EXECUTIONS, headers=own).status_code == 401, 30)


def test_other_projects_key(site: Attacked) -> None:
    _, other = site.new_key("other")
    for method, path in operations(site):
        answer = ask(site, method, path, **other)
        if "/mine" in path:
            assert answer.status_code == 404, (method, path)
        elif path in (EXECUTIONS, f"{EXECUTIONS}/wait"):
            assert answer.json()["items"] == [], (method, path)
        elif path.endswith("/prune"):
            assert answer.json() == {"deleted": 0}
        assert answer.status_code < 500
        assert '"mine"' not in answer.text or answer.status_code == 404
    started = site.http.post(
        f"{BASE}/workflows/{WORKFLOW}/executions", json={"payload": {}}, headers=other
    )
    assert site.other.get(started.json()["id"])
    taken = {"execution_id": "mine", "payload": {}}
    refused = site.http.post(f"{BASE}/workflows/{WORKFLOW}/executions", json=taken, headers=other)
    assert refused.status_code == 409
    child = site.http.get(EXECUTIONS, params={"parent_execution_id": "mine"}, headers=other)
    assert child.json()["items"] == []
    assert site.client.get("mine").status == "queued"


def test_project_header(site: Attacked) -> None:
    _, own = site.new_key()
    for header in ("Polos-Project: other", "polos-project: other", "Polos-Project: shop, other",
                   "Polos-Project: shop\r\nPolos-Project: other"):  # fmt: skip
        headers = (f"Authorization: {own['Authorization']}", header)
        answer = site.raw(site.head(f"GET {EXECUTIONS}", *headers))
        assert answer.startswith(b"HTTP/1.1 403"), header
    for header in ("Polos_Project: other", "X-Polos-Project: other"):
        headers = (f"Authorization: {own['Authorization']}", header, "Connection: close")
        answer = site.raw(site.head(f"GET {EXECUTIONS}", *headers))
        assert answer.startswith(b"HTTP/1.1 200"), header


def test_request_smuggling(site: Attacked) -> None:
    inner = f"GET {EXECUTIONS}/mine HTTP/1.1\r\nHost: {site.http.base_url.netloc.decode()}\r\n\r\n"
    for headers in (
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: xchunked",),
        ("Content-Length: +5",),
        ("Polos-Request : 1", "Content-Length: 0"),
    ):
        head = site.head(f"POST {EXECUTIONS}/mine/cancel", *headers)
        answer = site.raw(head + b"0\r\n\r\n" + inner.encode())
        assert not answer.startswith(b"HTTP/1.1 2"), headers
    assert site.client.get("mine").status == "queued"
    site.assert_well()


def test_cross_site_form(site: Attacked) -> None:
    address = f"{EXECUTIONS}/mine/cancel"
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
                 "text/plain", "text/plain; application/json", ""):  # fmt: skip
        headers = {"Content-Type": kind, "Origin": "https://evil.example"}
        for more in ({}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}):
            answer = site.http.post(address, content="{}", headers=headers | more)
            assert answer.status_code == 403, kind
    assert site.client.get("mine").status == "queued"


def test_cross_site_fetch(site: Attacked) -> None:
    address = f"{EXECUTIONS}/mine/cancel"
    asked = {
        "Origin": "https://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "polos-request,content-type,authorization",
    }
    for path in (address, EXECUTIONS, "/workflows"):
        allowed = site.http.options(path, headers=asked)
        assert not [name for name in allowed.headers if name.startswith("access-control")], path
    # A browser stops here. Had it not:
    for more in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://{site.http.base_url.host}:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert site.http.post(address, json={}, headers=CHANGE | more).status_code == 403, more
    assert site.client.get("mine").status == "queued"


def test_dns_rebinding(site: Attacked) -> None:
    for host in ("evil.example", f"evil.example:{site.port}", "127.0.0.1.evil.example", "10.0.0.1"):
        headers = {"Host": host, "Origin": f"http://{host}", **CHANGE}
        for method, path in operations(site):
            assert ask(site, method, path, **headers).status_code == 401, (host, path)
        assert site.http.get("/workflows", headers=headers).status_code == 403
    assert site.client.get("mine").status == "queued"


def test_forwarded_header(site: Attacked) -> None:
    for name in ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded",
                 "X-Real-Ip", "Via"):  # fmt: skip
        for value in ("127.0.0.1", "for=127.0.0.1", "localhost", ""):
            assert site.http.get(EXECUTIONS, headers={name: value}).status_code == 401, name
            page = site.http.get("/workflows", headers={name: value})
            assert page.status_code == 403, name
            assert "mine" not in page.text


def test_key_on_a_page(site: Attacked, guarded: Attacked) -> None:
    _, own = site.new_key()
    assert site.http.get("/workflows", headers=own | BY_PROXY).status_code == 403
    assert guarded.http.get("/workflows", headers=own).status_code == 401


def test_password(guarded: Attacked) -> None:
    for address in ("/workflows", EXECUTIONS):
        for wrong in (None, ("ann", "wrong"), ("", "")):
            answer = guarded.http.get(address, auth=wrong) if wrong else guarded.http.get(address)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Basic")
            assert "mine" not in answer.text
        assert guarded.http.get(address, auth=("ann", "secret")).status_code == 200


def test_read_only(guarded: Attacked) -> None:
    _, own = guarded.new_key()
    changes = [it for it in operations(guarded) if it[0] != "GET" and not it[1].endswith("/wait")]
    assert len(changes) >= 6
    for method, path in changes:
        for who in (own, {"Authorization": "Basic YW5uOnNlY3JldA==", **CHANGE}):
            answer = ask(guarded, method, path, **who)
            assert answer.status_code == 403, (method, path)
            assert "--read_only" in answer.json()["detail"]
    assert guarded.client.get("mine").status == "queued"


def test_script(site: Attacked) -> None:
    id_ = site.start({SCRIPT: SCRIPT}, execution_id=SCRIPT, tags=(SCRIPT,), session_id=SCRIPT)
    answers = [
        site.http.get(EXECUTIONS, params={"session_id": SCRIPT}),
        site.http.get(f"{EXECUTIONS}/{_quoted(id_)}"),
        site.http.get(f"{EXECUTIONS}/{_quoted(SCRIPT)}x"),
        site.http.get(EXECUTIONS, params={"cursor": SCRIPT}),
        site.http.get(EXECUTIONS, params={SCRIPT: SCRIPT}),
        site.http.get(f"{BASE}/workflows/{_quoted(SCRIPT)}"),
        site.http.post(f"{BASE}/workflows/{_quoted(SCRIPT)}/executions", json={}, headers=CHANGE),
        site.http.get(f"{BASE}/{_quoted(SCRIPT)}"),
    ]
    for answer in answers:
        assert answer.headers["Content-Type"].startswith("application/"), answer.url
        assert "json" in answer.headers["Content-Type"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert site.http.get(f"{EXECUTIONS}/{_quoted(id_)}").json()["payload"] == {SCRIPT: SCRIPT}
    for path in ("/workflows", f"/workflows?session_id={_quoted(SCRIPT)}", "/workflows/overview",
                 f"/workflows/execution/{_quoted(id_)}", f"/workflows/start/{_quoted(SCRIPT)}",
                 f"/workflows?project={_quoted(SCRIPT)}"):  # fmt: skip
        page = site.http.get(path)
        assert "<img src=x" not in page.text, path
        assert "<script>alert" not in page.text, path
        if page.status_code == 200:
            policy = page.headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "unsafe" not in policy


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def test_path_traversal(site: Attacked) -> None:
    secret = "class PageHandler"
    assert secret in (ROOT / "polos/flower/page.py").read_text()
    for up in ("..", "%2e%2e", "..%2f", "%2e%2e%2f", "..%5c", "....//", "%252e%252e", "..%00"):
        for start in ("/polos/static", EXECUTIONS, f"{BASE}/workflows", "/workflows/execution"):
            for target in (f"{up}/page.py", f"{up}/{up}/{up}/etc/passwd", f"{up}/health"):
                answer = site.raw(site.head(f"GET {start}/{target}", "Connection: close"))
                assert not answer.startswith(b"HTTP/1.1 200"), (start, target)
                assert not answer.startswith(b"HTTP/1.1 5"), (start, target)
                assert secret.encode() not in answer and b"root:" not in answer
    for path in ("/polos/static//etc/passwd", "/polos/static/", "/polos/static/.keep%00.css"):
        assert not site.raw(site.head(f"GET {path}", "Connection: close")).startswith(
            (b"HTTP/1.1 200", b"HTTP/1.1 5")
        )


LIST_PARAMETERS = ("workflow_id", "status", "session_id", "user_id", "tag", "created_after",
                   "created_before", "parent_execution_id", "limit", "cursor")  # fmt: skip
START_FIELDS = ("queue", "session_id", "user_id", "concurrency_key", "idempotency_key",
                "execution_id", "deployment_id")  # fmt: skip


def _everywhere(site: Attacked, text: str) -> Iterator[httpx.Response]:
    """The answers to a text in every parameter that there is."""
    _, own = site.new_key()
    quoted = _quoted(text)
    for name in LIST_PARAMETERS:
        yield site.http.get(EXECUTIONS, params={name: text}, headers=own)
        yield site.http.get(f"/workflows?{name}={quoted}")
    for path in ("", "/result?timeout=0", "/events"):
        yield site.http.get(f"{EXECUTIONS}/{quoted}{path}", headers=own)
    yield site.http.get(f"{EXECUTIONS}/mine/result", params={"timeout": text}, headers=own)
    for verb in ("cancel", "retry", "fork"):
        yield site.http.post(f"{EXECUTIONS}/{quoted}/{verb}", json={}, headers=own)
    yield site.http.post(f"{EXECUTIONS}/mine/fork", json={"from_step": text}, headers=own)
    yield site.http.post(f"{EXECUTIONS}/wait", json={"ids": [text], "timeout": 0}, headers=own)
    yield site.http.get(f"{BASE}/workflows/{quoted}", headers=own)
    yield site.http.post(f"{BASE}/workflows/{quoted}/executions", json={}, headers=own)
    for field in START_FIELDS:
        body = {field: f"{text}{field}", "payload": {}}
        yield site.http.post(f"{BASE}/workflows/{WORKFLOW}/executions", json=body, headers=own)
    tagged = {"tags": [text], "payload": {text: text}}
    yield site.http.post(f"{BASE}/workflows/{WORKFLOW}/executions", json=tagged, headers=own)
    for header in ("Last-Event-ID", "Polos-Project", "Polos-Encoding"):
        if text.isprintable():
            yield site.http.get(EXECUTIONS, headers={header: text})
    for page in ("execution", "start", "overview"):
        yield site.http.get(f"/workflows/{page}/{quoted}")
    yield site.http.get(f"/workflows?project={quoted}")


@pytest.mark.parametrize("text", SQL)
def test_sql(site: Attacked, text: str) -> None:
    for answer in _everywhere(site, text):
        assert answer.status_code < 500, answer.request.url
        if answer.request.url.path == EXECUTIONS and answer.request.url.query:
            assert answer.status_code == 422 or answer.json()["items"] == []
    assert site.client.get("mine").status == "queued"
    site.assert_well()


def test_nul(site: Attacked) -> None:
    for answer in _everywhere(site, "a\0b"):
        assert answer.status_code < 500, answer.request.url
        if BASE in answer.request.url.path and "payload" not in answer.request.content.decode():
            assert answer.status_code in (404, 422), (answer.request.url, answer.request.content)
    site.assert_well()


def test_large_body(site: Attacked) -> None:
    _, own = site.new_key()
    address = f"{BASE}/workflows/{WORKFLOW}/executions"
    large = json.dumps({"payload": {"text": "x" * 10 * 1024 * 1024}}).encode()
    before = site.memory()
    for body in (large, (large[start : start + 65536] for start in range(0, len(large), 65536))):
        answer = site.http.post(address, content=body, headers=own | JSON)
        assert (answer.status_code, is_problem(answer)) == (413, True)
        # Not when all of it was read, as a value that is too large.
        assert answer.json()["code"] == "BodyTooLarge"
    # Nothing of it is even looked at where nobody is let in.
    answer = site.http.post(address, content=large, headers=BY_PROXY | JSON)
    assert answer.status_code == 401
    assert site.memory() - before < 64 * 1024 * 1024
    site.assert_well()


def test_gzip_bomb(site: Attacked) -> None:
    _, own = site.new_key()
    before = site.memory()
    bomb = gzip.compress(b'{"payload": {"text": "' + b"x" * 256 * 1024 * 1024, 9)
    headers = own | JSON | {"Content-Encoding": "gzip"}
    address = f"{BASE}/workflows/{WORKFLOW}/executions"
    answer = site.http.post(address, content=bomb, headers=headers)
    assert answer.status_code in (400, 415)
    assert site.memory() - before < 64 * 1024 * 1024
    site.assert_well()


def test_deep_json(site: Attacked) -> None:
    _, own = site.new_key()
    address = f"{BASE}/workflows/{WORKFLOW}/executions"
    for body in (b"[" * 100_000, b'{"payload":{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}}",
                 b'{"payload": {"n": ' + b"9" * 100_000 + b"}}", b"\xff\xfe", b"NaN"):  # fmt: skip
        answer = site.http.post(address, content=body, headers=own | JSON)
        assert (400 <= answer.status_code < 500, is_problem(answer)) == (True, True), body[:20]
    site.assert_well()


def test_huge_headers(site: Attacked) -> None:
    for line, headers in (
        (f"GET {EXECUTIONS}", ["X-Large: " + "x" * 100_000]),
        (f"GET {EXECUTIONS}", [f"X-{number}: x" for number in range(20_000)]),
        (f"GET {EXECUTIONS}?tag=" + "x" * 100_000, []),
    ):
        try:
            answer = site.raw(site.head(line, *headers))
        except ConnectionError:
            answer = b""
        assert not answer or answer.startswith(b"HTTP/1.1 4")
    site.assert_well()


def test_slow_body(site: Attacked) -> None:
    _, own = site.new_key()
    headers = (f"Authorization: {own['Authorization']}", "Content-Length: 1000000",
               "Content-Type: application/json")  # fmt: skip
    slow = [site.connected() for _ in range(100)]
    try:
        for connection in slow:
            connection.sendall(site.head(f"POST {EXECUTIONS}", *headers) + b'{"items": [')
        # They hold a socket each, but no thread and no connection to the database.
        for _ in range(5):
            site.assert_well()
    finally:
        for connection in slow:
            connection.close()
    site.assert_well()


def test_open_streams(site: Attacked) -> None:
    _, own = site.new_key()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 3 * MANY)), hard))
    request = site.head(f"GET {EXECUTIONS}/mine/events", f"Authorization: {own['Authorization']}")
    streams: list[socket.socket] = []
    try:
        for _ in range(MANY):
            streams.append(site.connected(60))
            streams[-1].sendall(request)
        for stream in streams:
            assert stream.recv(12) == b"HTTP/1.1 200"
        site.assert_well()
        started = site.start({"n": 2})
        assert site.http.get(f"{EXECUTIONS}/{started}", headers=own).json()["status"] == "queued"
        assert site.http.get("/workflows").status_code == 200
    finally:
        for stream in streams:
            stream.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    site.assert_well()


def test_other_methods(site: Attacked) -> None:
    _, own = site.new_key()
    for method in ("TRACE", "CONNECT", "PUT", "DELETE", "PATCH", "BREW"):
        for path in (f"{EXECUTIONS}/mine", "/workflows"):
            answer = site.http.request(method, path, headers=own)
            assert answer.status_code in (405, 400, 403), (method, path)
    override = own | {"X-HTTP-Method-Override": "POST"}
    assert site.http.get(f"{EXECUTIONS}/mine/cancel", headers=override).status_code == 405
    assert site.client.get("mine").status == "queued"


def test_masked_values(site: Attacked) -> None:
    id_ = site.start({"user": "ann", "password": "hunter2"})
    _, own = site.new_key()
    for path in (f"{EXECUTIONS}/{id_}", f"{EXECUTIONS}/{id_}/result?timeout=0"):
        assert "hunter2" not in site.http.get(path, headers=own).text
    for path in ("/workflows", f"/workflows/execution/{id_}"):
        assert "hunter2" not in site.http.get(path).text
    whole = site.http.get(f"{EXECUTIONS}/{id_}", headers=own | {"Polos-Encoding": "codec"})
    assert "hunter2" in whole.text


def test_the_table_names_every_attack() -> None:
    table = (ROOT / "docs/security.md").read_text().partition("## Attacks")[2]
    named = set(re.findall(r"`test_attacks::(\w+)`", table))
    tried = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert named == tried - {"the_table_names_every_attack"}
    assert len(re.findall(r"^\| (?!attack|---)", table, re.M)) >= len(named)
