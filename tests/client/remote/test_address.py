"""Addresses of servers, and keys for them."""

from __future__ import annotations

import pytest

from polos import ConfigurationError, PolosClient
from polos.client.remote import Address, RemoteClient


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("https://polos.example.org/flows//", "https://polos.example.org/flows"),
        ("  HTTP://Polos.Example.org  ", "http://polos.example.org"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("https://user:secret@host:1/x", "https://host:1/x"),
    ],
)
def test_an_address_as_it_is_shown(given: str, url: str) -> None:
    address = Address.of(given)
    assert address.url == url
    assert address.to("executions") == f"{url}/api/polos/executions"


@pytest.mark.parametrize(
    "wrong",
    [
        "localhost:8080",
        "ftp://host",
        "file:///etc/passwd",
        "http://",
        "http://host:port",
        "http://host:99999",
        "http://host?x=1",
        "http://host#x",
        "http://a b",
        "/path",
        " ",
        "http://[::1",
    ],
)
def test_what_is_no_address(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=r"api_url \(or POLOS_API_URL\)"):
        PolosClient(api_url=wrong)


@pytest.mark.parametrize(
    ("part", "quoted"),
    [
        ("a b/c?d#e", "a%20b%2Fc%3Fd%23e"),
        ("ü", "%C3%BC"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("a.b", "a.b"),
        ("%41", "%2541"),
    ],
)
def test_parts_of_a_path_may_hold_anything(part: str, quoted: str) -> None:
    assert Address.of("http://h").to("executions", part, "retry").endswith(f"/{quoted}/retry")


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
    ],
)
def test_what_is_on_this_host(host: str, is_loopback: bool) -> None:
    assert Address.of(f"http://{host}:80/").is_loopback is is_loopback


def test_a_key_is_sent_and_never_shown() -> None:
    address = Address.of("https://user:word@host", " polos_secret ")
    assert address.credentials == "Bearer polos_secret"
    client = RemoteClient(address)
    for shown in (repr(address), str(address), repr(client), repr(vars(client)), client.url):
        assert "secret" not in shown
        assert "word" not in shown
    assert Address.of("https://user:word@host").credentials == "Basic dXNlcjp3b3Jk"
    assert Address.of("https://host").credentials is None
    assert Address.of("https://host", "").credentials is None


@pytest.mark.parametrize("key", ["a b", "schlüssel", "a\nb", "a\0b"])
def test_what_no_key_can_be_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigurationError, match="api_key") as caught:
        PolosClient(api_url="http://host", api_key=key)
    assert key not in str(caught.value)


def test_where_a_client_learns_of_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PolosClient().remote is None
    monkeypatch.setenv("POLOS_API_URL", "http://host:1/")
    monkeypatch.setenv("POLOS_API_KEY", "k")
    remote = PolosClient().remote
    assert remote is not None
    assert remote.url == "http://host:1"
    assert remote._address.credentials == "Bearer k"
    other = PolosClient(api_url="http://other", api_key="j").remote
    assert other is not None
    assert (other.url, other._address.credentials) == ("http://other", "Bearer j")
    assert PolosClient(api_url="").remote is None
    monkeypatch.setenv("POLOS_API_URL", "")
    assert PolosClient().remote is None
