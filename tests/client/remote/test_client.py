"""What a client of a server is, and what it says of what only a direct one can do."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from polos import ConfigurationError, Polos, PolosClient, Workflow, WorkflowContext, workflow
from polos.cli.target import _of_environment
from polos.definition.registry import registry
from tests.client.remote.server import served
from tests.client.remote.test_line import started
from tests.support.processes import until

URL = "http://polos.example.org/flows"


@pytest.fixture
def tidy() -> Iterator[Workflow[Any, Any]]:
    with registry.scoped():

        @workflow(id="remote_tidy")
        async def tidy(ctx: WorkflowContext) -> int:
            return 7

        yield tidy


@pytest.fixture
def client() -> PolosClient:
    return PolosClient(api_url=URL, api_key="very_secret")


def test_it_has_no_app_and_no_store(client: PolosClient) -> None:
    with pytest.raises(ConfigurationError, match=rf"speaks to the server {URL}.*wf\.start") as told:
        _ = client.bound
    assert "very_secret" not in str(told.value)
    assert "very_secret" not in repr(client)


def test_what_celery_is_to_send_needs_an_app(client: PolosClient, tidy: Workflow[Any, Any]) -> None:
    registry.set_default_client(client)
    try:
        for call in (tidy.delay, tidy.s, tidy.si, tidy.signature, tidy.apply_async):
            with pytest.raises(ConfigurationError, match=r"needs Polos\(app\)"):
                call()
    finally:
        registry.set_default_client(None)


def test_a_transaction_is_not_joined(client: PolosClient, tidy: Workflow[Any, Any]) -> None:
    connection = sqlite3.connect(":memory:")
    with pytest.raises(ConfigurationError, match="connection="):
        tidy.start(client, connection=connection)
    connection.close()


def test_what_is_bound_to_an_app_is_direct_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, sqlite_url: str
) -> None:
    monkeypatch.setenv("POLOS_API_URL", URL)
    app = Celery("direct", broker="memory://", set_as_current=False)
    bound, own = Polos(app, database_url=sqlite_url), Polos(database_url=sqlite_url)
    assert bound.remote is own.remote is None
    assert bound.bound.app is app
    bound.close()
    assert PolosClient().remote is not None


def test_commands_are_direct_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("POLOS_API_URL", URL)
    monkeypatch.setenv("POLOS_HOME", str(tmp_path))
    assert _of_environment(code=False).client.remote is None


def test_its_labels_go_with_what_it_starts(tidy: Workflow[Any, Any]) -> None:
    with served(started) as server:
        client = PolosClient("shop", server.url, deployment_id="blue")
        assert client.project_id == "shop"
        tidy.start(client, tags=["a"], session_id="s")
        [asked] = server.asked
        client.close()
    assert asked.headers["polos-project"] == "shop"
    assert asked.body == {
        "workflow_id": "remote_tidy",
        "encoded_payload": "null",
        "session_id": "s",
        "execution_id": asked.body["execution_id"],
        "deployment_id": "blue",
        "declared": True,
        "tags": ["a"],
    }


def test_it_can_be_used_again_after_it_was_closed(tidy: Workflow[Any, Any]) -> None:
    with served(started) as server:
        client = PolosClient(api_url=server.url)
        client.close()
        tidy.start(client)
        assert client.remote is not None
        assert client.remote.is_open
        client.close()
        assert not client.remote.is_open
        tidy.start(client)
        client.close()
        assert len(server.asked) == 2


def test_connections_are_closed_with_the_last_client_that_uses_them(
    tidy: Workflow[Any, Any],
) -> None:
    with served(started) as server:
        one, other = PolosClient(api_url=server.url), PolosClient(api_url=server.url)
        tidy.start(one)
        tidy.start(other)
        one.close()
        one.close()
        tidy.start(other)
        assert server.held == 1
        other.close()
        until(lambda: server.held == 0, 30)


PROGRAM = """
import sys
from polos import PolosClient
PolosClient(api_url="http://localhost:1").close()
print(sorted({name.partition(".")[0] for name in sys.modules} & {"flower", "tornado"}))
"""


def test_a_client_needs_nothing_of_the_server() -> None:
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert (found.stdout, found.stderr) == ("[]\n", "")
