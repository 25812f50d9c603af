"""Who is let in by what, what they see of it, and what they may change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from celery import Celery
from tornado.web import create_signed_value

from polos import Polos
from polos.codec import encode_payload
from polos.model.ports import StartRequest
from polos.server import events, known_keys
from polos.server.served import Served, served_of
from polos.store import api_keys
from tests.server import flows
from tests.support.api_server import ApiServer

BASIC = {"basic_auth": ["ann:secret"]}
OAUTH = {"auth": "ann@example.com", "auth_provider": "flower.views.auth.GoogleAuth2LoginHandler"}
# As a proxy on this machine sends it: then nobody is local.
FROM_AFAR = {"X-Forwarded-For": "203.0.113.7"}
API = "/api/polos/executions"
PAGE = "/workflows"
SECRET = "hunter2"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A store with an execution in each of two projects; nobody runs them."""
    app = Celery("accessed", set_as_current=False, broker="memory://")
    app.conf.update(
        polos_database_url=f"sqlite:///{tmp_path_factory.mktemp('access') / 'polos.db'}",
        polos_auto_migrate=True,
        polos_project_id="shop",
        polos_redact="password",
    )
    Polos(app)
    made = served_of(app)
    assert made is not None
    payload = encode_payload({"user": "ann", "password": SECRET})
    for project in ("shop", "other"):
        made.client(project).start(
            StartRequest(flows.anything.id, payload, execution_id=f"of {project}")
        )
    yield made
    app.close()


@contextmanager
def site(served: Served, **options: Any) -> Iterator[httpx.Client]:
    """A client of a server with these options of Flower's; it says nothing of itself."""
    with ApiServer(served.bound.app, **options) as server:
        root = server.base.removesuffix("/api/polos")
        with httpx.Client(base_url=root, timeout=30, trust_env=False) as client:
            yield client


@pytest.fixture(scope="module")
def plain(served: Served) -> Iterator[httpx.Client]:
    """Without any authentication."""
    with site(served) as client:
        yield client


@pytest.fixture(scope="module")
def basic(served: Served) -> Iterator[httpx.Client]:
    """With a password."""
    with site(served, **BASIC) as client:
        yield client


@pytest.fixture(scope="module")
def oauth(served: Served) -> Iterator[httpx.Client]:
    """With OAuth."""
    with site(served, **OAUTH) as client:
        yield client


def bearer(served: Served, project: str = "shop") -> dict[str, str]:
    """The header of a new key."""
    made, key = api_keys.create(served.bound.store.database, project, "tests")
    return {"Authorization": f"Bearer {key}"}


def ids(answer: httpx.Response) -> list[str]:
    """The executions of a list."""
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


def cancel(client: httpx.Client, id_: str = "of shop", **headers: str) -> httpx.Response:
    """Try to change something; of the shop's, if not said otherwise."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(f"{API}/{id_}/cancel", json={}, headers=named)


def test_a_key_opens_its_project_from_anywhere(served: Served, plain: httpx.Client) -> None:
    for headers in (bearer(served), bearer(served) | FROM_AFAR):
        assert ids(plain.get(API, headers=headers)) == ["of shop"]
        assert plain.get(f"{API}/of other", headers=headers).status_code == 404
    lower = {name: f"bearer {value.split()[1]}" for name, value in bearer(served).items()}
    assert ids(plain.get(API, headers=lower)) == ["of shop"]
    assert ids(plain.get(API, headers=bearer(served, "other"))) == ["of other"]


@pytest.mark.parametrize("asked", ["other", "", "shop,other", "SHOP"])
def test_a_key_opens_no_other_project(served: Served, plain: httpx.Client, asked: str) -> None:
    own = bearer(served)
    assert plain.get(API, headers=own | {"Polos-Project": asked}).status_code == 403
    assert ids(plain.get(API, headers=own | {"Polos-Project": "shop"})) == ["of shop"]


def test_a_wrong_key_opens_nothing_not_even_here(served: Served, plain: httpx.Client) -> None:
    good = bearer(served)["Authorization"]
    for wrong in ("Bearer", "Bearer x", good[:-1], good + "x", f"{good} x"):
        answer = plain.get(API, headers={"Authorization": wrong})
        assert answer.status_code == 401, wrong
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="polos"'
        assert "polos keys create" in answer.json()["detail"]


def test_an_empty_key_is_called_empty(plain: httpx.Client) -> None:
    """As a shell sends it where the variable is not set."""
    answer = plain.get(API, headers={"Authorization": "Bearer"})
    assert answer.status_code == 401
    assert "no key behind 'Bearer'" in answer.json()["detail"]


def test_a_revoked_key_opens_nothing_for_long(
    served: Served, plain: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "_REMEMBERED", 0.0)
    headers = bearer(served)
    assert ids(plain.get(API, headers=headers)) == ["of shop"]
    api_keys.revoke(served.bound.store.database, headers["Authorization"].split("_")[1])
    assert plain.get(API, headers=headers).status_code == 401


def test_the_stream_of_a_revoked_key_ends(
    served: Served, plain: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "_REMEMBERED", 0.0)
    monkeypatch.setattr(events, "HEARTBEAT", 0.05)
    headers = bearer(served)
    said, revoked = "", False
    with plain.stream("GET", f"{API}/of shop/events", headers=headers) as stream:
        # How much of it comes at a time depends on who is slower.
        for part in stream.iter_text():
            said += part
            if not revoked and "still here" in said.partition("event: progress")[2]:
                api_keys.revoke(served.bound.store.database, headers["Authorization"].split("_")[1])
                revoked = True
    assert revoked
    assert "event: end" not in said


def test_keys_work_beside_flowers_own_authentication(
    served: Served, basic: httpx.Client, oauth: httpx.Client
) -> None:
    for client in (basic, oauth):
        assert ids(client.get(API, headers=bearer(served))) == ["of shop"]
        assert cancel(client, "of other", **bearer(served)).status_code == 404


def test_a_key_opens_no_page(served: Served, basic: httpx.Client, plain: httpx.Client) -> None:
    assert basic.get(PAGE, headers=bearer(served)).status_code == 401
    assert plain.get(PAGE, headers=bearer(served) | FROM_AFAR).status_code == 403


def test_without_authentication_only_this_machine_is_let_in(plain: httpx.Client) -> None:
    assert ids(plain.get(API)) == ["of shop"]
    assert ids(plain.get(API, headers={"Polos-Project": "other"})) == ["of other"]
    assert plain.get(PAGE).status_code == 200
    for headers in (FROM_AFAR, {"Host": "rebound.example.com"}):
        answer = plain.get(API, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "Unauthorized")
        assert "--basic_auth" in answer.json()["detail"]
        assert "polos keys create" in answer.json()["detail"]
        page = plain.get(PAGE, headers=headers)
        assert page.status_code == 403
        assert "--basic_auth" in page.text
        assert "of shop" not in page.text


def test_everybody_is_let_in_where_flower_says_so(
    plain: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWER_UNAUTHENTICATED_API", "true")
    for address in (API, PAGE):
        answer = plain.get(address, headers=FROM_AFAR | {"Origin": "https://evil.example"})
        assert answer.status_code == 200
        # Flower has "*" here, on its own.
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert cancel(plain, **FROM_AFAR).status_code == 403
    assert cancel(plain, **FROM_AFAR, Polos_Request="1").status_code == 200


def test_flowers_password(basic: httpx.Client) -> None:
    for address in (API, PAGE):
        for wrong in (None, ("ann", "wrong"), ("", "")):
            answer = basic.get(address, auth=wrong) if wrong else basic.get(address)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith('Basic realm="flower"')
        assert basic.get(address, auth=("ann", "secret"), headers=FROM_AFAR).status_code == 200
    seen = basic.get(API, auth=("ann", "secret"), headers={"Polos-Project": "other"})
    assert ids(seen) == ["of other"]


def test_flowers_login(served: Served) -> None:
    with ApiServer(served.bound.app, **OAUTH) as server:
        root = server.base.removesuffix("/api/polos")
        with httpx.Client(base_url=root, timeout=30, trust_env=False) as client:
            page = client.get(PAGE)
            assert (page.status_code, page.headers["Location"]) == (302, "/login?next=%2Fworkflows")
            answer = client.get(API)
            assert answer.status_code == 401
            assert "log in" in answer.json()["detail"]
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="polos"'
            for forged in ("ann@example.com", '"ann@example.com"', "2|1:0|10:1|4:user|4:YW5u|00"):
                client.cookies.set("user", forged)
                assert client.get(API).status_code == 401
                assert client.get(PAGE).status_code == 302
                client.cookies.clear()
            for who, status in (("ann@example.com", 200), ("eve@example.com", 401)):
                cookie = _signed(server, who)
                assert client.get(API, headers=cookie).status_code == status
                assert client.get(PAGE, headers=cookie).status_code == (
                    200 if status == 200 else 302
                )
                changed = cancel(client, **cookie)
                assert changed.status_code == (403 if status == 200 else 401)
            # Flower's own token against forgeries is not asked for: this header is.
            assert cancel(
                client, **_signed(server, "ann@example.com"), Polos_Request="1"
            ).is_success


def _signed(server: ApiServer, user: str) -> dict[str, str]:
    value = create_signed_value(server.flower.settings["cookie_secret"], "user", user)
    return {"Cookie": f"user={value.decode()}"}


def test_another_site_can_change_nothing(plain: httpx.Client, basic: httpx.Client) -> None:
    basic.auth = ("ann", "secret")
    for client in (plain, basic):
        host = client.base_url.netloc.decode()
        fine: dict[str, str] = {"Polos_Request": "1"}
        for headers in (
            fine,
            fine | {"Origin": f"http://{host}"},
            fine | {"Sec_Fetch_Site": "same-origin", "Origin": f"http://{host}"},
            # Behind a proxy that doesn't pass the Host header on.
            fine | {"Sec_Fetch_Site": "same-origin", "Origin": "https://flower.example.com"},
            fine | {"Sec_Fetch_Site": "none"},
        ):
            assert cancel(client, **headers).status_code == 200, headers
        for headers in (
            {},
            {"Polos_Request": "0"},
            {"Polos_Request": "1,1"},
            {"Sec_Fetch_Site": "same-origin"},
            fine | {"Sec_Fetch_Site": "cross-site"},
            fine | {"Sec_Fetch_Site": "same-site"},
            fine | {"Sec_Fetch_Site": ""},
            fine | {"Origin": "https://evil.example"},
            fine | {"Origin": f"http://{host}.evil.example"},
            fine | {"Origin": "null"},
        ):
            assert cancel(client, **headers).status_code == 403, headers
        for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data"):
            answer = client.post(
                f"{API}/of shop/cancel", content="{}", headers={"Content-Type": kind}
            )
            assert answer.status_code == 403, kind
            answer = client.post(
                f"{API}/of shop/cancel",
                content="{}",
                headers={"Content-Type": kind, "Polos-Request": "1"},
            )
            assert answer.status_code == 415, kind
    basic.auth = None


def test_read_only_refuses_all_changes(served: Served) -> None:
    with site(served, read_only=True) as client:
        assert ids(client.get(API)) == ["of shop"]
        for headers in (bearer(served), {"Polos_Request": "1"}):
            answer = cancel(client, **headers)
            assert answer.status_code == 403
            assert "--read_only" in answer.json()["detail"]
        for path in ("workflows/flow/executions", "executions", "executions/of shop/retry",
                     "executions/of shop/fork", "prune"):  # fmt: skip
            answer = client.post(f"/api/polos/{path}", json={}, headers=bearer(served))
            assert answer.status_code == 403, path
        waited = client.post(
            f"{API}/wait", json={"ids": ["x"], "timeout": 0}, headers=bearer(served)
        )
        assert waited.status_code == 200


def test_people_see_masks_and_programs_their_values(
    served: Served, plain: httpx.Client, basic: httpx.Client
) -> None:
    masked = {"user": "ann", "password": "***"}
    codec = {"Polos-Encoding": "codec"}
    for headers in (bearer(served), {}):
        for address in (f"{API}/of shop", f"{API}/of shop/result?timeout=0"):
            shown = plain.get(address, headers=headers)
            assert shown.json()["payload"] == masked
            assert SECRET not in shown.text
            whole = plain.get(address, headers=headers | codec)
            assert whole.json()["payload"] == masked
            assert SECRET in str(whole.json()["encoded"])
    refused = basic.get(f"{API}/of shop", auth=("ann", "secret"), headers=codec)
    assert (refused.status_code, SECRET in refused.text) == (403, False)
    assert "polos_redact" in refused.json()["detail"]


def test_a_mask_is_not_taken_for_a_value(served: Served, plain: httpx.Client) -> None:
    payload = {"user": "ann", "password": "***"}
    for path in (f"workflows/{flows.anything.id}/executions", "executions/of other/fork"):
        answer = plain.post(
            f"/api/polos/{path}",
            json={"payload": payload},
            headers={"Polos-Request": "1", "Polos-Project": "other"},
        )
        assert answer.status_code == 422
        assert "password is the mask" in answer.json()["detail"]
