"""What a key opens to a client, and what it is told otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from polos import AccessDenied, ExecutionNotFound, PolosClient, WorkflowContext, workflow
from polos.definition.registry import registry
from polos.model.settings import Settings
from polos.store import api_keys
from tests.support.api_server import ApiServer
from tests.support.servers import HOST


@pytest.fixture
def direct(sqlite_url: str) -> Iterator[PolosClient]:
    settings = Settings.load(database_url=sqlite_url, broker_url="memory://")
    made = PolosClient(settings=settings)
    with registry.scoped():

        @workflow(id="keyed")
        async def keyed(ctx: WorkflowContext) -> int:
            return 7

        yield made
    made.close()


@pytest.fixture
def url(direct: PolosClient) -> Iterator[str]:
    """A server that asks for a password, or a key."""
    with ApiServer(direct.bound.app, basic_auth=["ada:word"]) as server:
        yield f"http://{HOST}:{server.port}"


@pytest.fixture
def client(url: str) -> Iterator[Callable[..., PolosClient]]:
    made: list[PolosClient] = []

    def make(key: str | None = None, **given: Any) -> PolosClient:
        made.append(PolosClient(api_key=key, **{"api_url": url} | given))
        return made[-1]

    yield make
    for it in made:
        it.close()


def key_of(direct: PolosClient, project: str) -> tuple[str, str]:
    made, key = api_keys.create(direct.bound.store.database, project, "tests")
    return made.id, key


def test_a_key_opens_its_project_and_no_other(
    direct: PolosClient, client: Callable[..., PolosClient]
) -> None:
    _, shop = key_of(direct, "größe 1%")
    _, other = key_of(direct, "other")
    keyed = registry.require("keyed")
    handle = keyed.start(client(shop))
    assert direct.bound.client.store.get(handle.id) is None
    assert client(shop).get(handle.id).project_id == "größe 1%"
    assert client(shop, project_id="größe 1%").get(handle.id).id == handle.id
    with pytest.raises(ExecutionNotFound):
        client(other).get(handle.id)
    assert not asyncio.run(client(other).list_executions()).items
    for ask in (lambda it: it.get(handle.id), keyed.start, lambda it: it.wait(handle.id, 10)):
        with pytest.raises(AccessDenied, match="another project") as caught:
            ask(client(other, project_id="größe 1%"))
        assert other not in str(caught.value)


def test_without_a_key_that_is_good_nothing_is_done(
    direct: PolosClient, client: Callable[..., PolosClient], url: str
) -> None:
    # Before it was ever used: a server may go on knowing one for some seconds.
    id_, revoked = key_of(direct, "default")
    api_keys.revoke(direct.bound.store.database, id_)
    for key in (None, "polos_nonsense", revoked):
        with pytest.raises(AccessDenied, match="POLOS_API_KEY") as caught:
            registry.require("keyed").start(client(key))
        assert caught.value.status == 401
        assert url in str(caught.value)
        assert key is None or key not in str(caught.value)
    assert not asyncio.run(direct.list_executions()).items


def test_the_password_of_flower_will_do_as_well(
    direct: PolosClient, client: Callable[..., PolosClient], url: str
) -> None:
    named = url.replace("http://", "http://ada:word@")
    handle = registry.require("keyed").start(client(api_url=named, project_id="shop"))
    assert client(api_url=named, project_id="shop").get(handle.id).project_id == "shop"
    with pytest.raises(AccessDenied) as caught:
        client(api_url=url.replace("http://", "http://ada:wrong@")).get(handle.id)
    assert "wrong" not in str(caught.value)
