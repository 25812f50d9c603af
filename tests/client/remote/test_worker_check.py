"""What a worker says of the server that its client speaks to."""

from __future__ import annotations

import asyncio
import logging

import pytest

from polos.client.remote import Address, RemoteClient
from polos.worker import server_check
from polos.worker.server_check import compare_with_server
from tests.client.remote.server import Told, served
from tests.client.remote.test_line import Scripted
from tests.support.servers import HOST, free_port

PLACE = "sqlite:////here/polos.db, project 'shop'"


def listed(**at_work: bool) -> Told:
    return Told(200, {"items": [{"id": id_, "has_worker": at_work[id_]} for id_ in at_work]})


def compare(url: str, *workflows: str) -> bool:
    remote = RemoteClient(Address.of(url, "very_secret"))
    return asyncio.run(compare_with_server(remote, workflows, lambda: PLACE))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(server_check, "_PAUSE", 0.001)
    caplog.set_level(logging.INFO)


def test_one_that_is_seen_after_a_while_is_no_cause_for_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with served(Scripted(Told(502, "<html>"), listed(a=False), listed(a=True, b=True))) as server:
        assert compare(server.url, "a", "b")
        assert len(server.asked) == 3
    assert "sees this worker" in caplog.text
    assert not [it for it in caplog.records if it.levelno >= logging.WARNING]


def test_one_that_is_not_seen_is_told_what_differs(caplog: pytest.LogCaptureFixture) -> None:
    with served(Scripted(listed(a=True, b=False))) as server:
        assert not compare(server.url, "a", "b", "c")
    [warning] = [it for it in caplog.records if it.levelno >= logging.WARNING]
    text = warning.getMessage()
    assert f"the server {server.url} does not see this worker" in text
    assert "what is started there of b, c does not run" in text
    assert f"This worker reads {PLACE}" in text
    assert "POLOS_DATABASE_URL" in text


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_server_that_does_not_say_is_told_of_and_nothing_else_happens(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with served(Scripted(Told(status, {"code": "No", "detail": "because"}))) as server:
        assert not compare(server.url, "a")
    [warning] = [it for it in caplog.records if it.levelno >= logging.WARNING]
    assert "is not known" in warning.getMessage()
    assert "because" in warning.getMessage()
    assert "very_secret" not in caplog.text


def test_a_server_that_is_away_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    assert not compare(f"http://{HOST}:{free_port()}", "a")
    assert "can't be reached" in caplog.text
