"""Which requests come from this machine, and which addresses a server may listen at."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

from polos.errors import ConfigurationError
from polos.server.addresses import is_local, is_loopback, refuse_open_address


def request(
    host: str = "localhost:5555",
    remote: str = "127.0.0.1",
    family: int = socket.AF_INET,
    **headers: str,
) -> Any:
    """What is looked at of a request. Tornado itself refuses some of these, of late."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    context = SimpleNamespace(address_family=family)
    return SimpleNamespace(
        host=host,
        remote_ip=remote,
        headers=HTTPHeaders(given),
        connection=SimpleNamespace(context=context),
    )


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:5555",
        "LocalHost",
        "127.0.0.1:80",
        "127.3.2.1",
        "[::1]:5555",
        "[::1]",
    ],
)
@pytest.mark.parametrize("remote", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_a_request_from_here_for_here_is_local(host: str, remote: str) -> None:
    assert is_local(request(host, remote))


@pytest.mark.parametrize(
    "host",
    [
        "flower.example.com",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "localhost:5555@example.com",
        "example.com:127",
        "10.0.0.1",
        "0.0.0.0",
        "[::]",
        "[::1",
        "localhost,example.com",
        "",
        " ",
    ],
)
def test_one_for_another_name_is_not(host: str) -> None:
    assert not is_local(request(host))
    # Nor where the other side is this machine for sure.
    assert not is_local(request(host, "0.0.0.0", socket.AF_UNIX))


@pytest.mark.parametrize(
    "header",
    ["X_Forwarded_For", "x_forwarded_host", "X_FORWARDED_PROTO", "Forwarded", "X_Real_Ip", "Via"],
)
def test_one_that_came_by_a_proxy_is_not(header: str) -> None:
    assert not is_local(request(**{header: "127.0.0.1"}))
    assert not is_local(request(**{header: ""}))


@pytest.mark.parametrize(
    "remote", ["10.0.0.1", "172.17.0.1", "::ffff:10.0.0.1", "fe80::1", "", "x"]
)
def test_one_from_elsewhere_is_not(remote: str) -> None:
    assert not is_local(request(remote=remote))


def test_a_unix_socket_is_here() -> None:
    assert is_local(request("localhost", "0.0.0.0", socket.AF_UNIX))
    assert not is_local(request("localhost", "0.0.0.0"))


def options(basic_auth: Any = None, auth: str = "") -> SimpleNamespace:
    return SimpleNamespace(basic_auth=basic_auth, auth=auth)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1"])
def test_loopback_may_be_listened_at(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWER_UNAUTHENTICATED_API", raising=False)
    refuse_open_address(address, options())
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["", "0.0.0.0", "::", "10.1.2.3", "no.such.name.invalid"])
def test_other_addresses_need_authentication(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWER_UNAUTHENTICATED_API", raising=False)
    with pytest.raises(ConfigurationError, match=r"FLOWER_BASIC_AUTH.*127\.0\.0\.1"):
        refuse_open_address(address, options())
    refuse_open_address(address, options(basic_auth=["ann:secret"]))
    refuse_open_address(address, options(auth=".*@example.com"))
    monkeypatch.setenv("FLOWER_UNAUTHENTICATED_API", "true")
    refuse_open_address(address, options())
