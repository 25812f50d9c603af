"""Which app ``wf.delay`` and ``wf.s`` use: the one that ``wf.start`` would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from celery import Celery

from polos import ConfigurationError, Polos, workflow
from polos.definition.registry import registry
from polos.definition.workflow import Workflow

CALLS = ["delay", "s", "si", "signature"]


@pytest.fixture
def apps() -> Iterator[ExitStack]:
    """Closes apps; no test sees another's workflows or clients."""
    registry.set_default_client(None)
    with registry.scoped(empty=True), ExitStack() as stack:
        yield stack
    registry.set_default_client(None)


def bound(stack: ExitStack, url: str, name: str, *only: Workflow[Any, Any]) -> Polos:
    app = stack.enter_context(Celery(name, broker="memory://", set_as_current=False))
    app.conf.polos_auto_migrate = True
    return Polos(app, url, workflows=list(only) or None)


def flow(id_: str) -> Workflow[Any, Any]:
    @workflow(id=id_)
    async def made(ctx: Any) -> None:
        pass

    return made


def test_of_several_apps_the_one_that_has_the_workflow(apps: ExitStack, sqlite_url: str) -> None:
    common, special = flow("common"), flow("special")
    one = bound(apps, sqlite_url, "one")
    bound(apps, sqlite_url, "two", special)
    assert common.s().app is one.bound.app
    assert one.get(common.delay().id).workflow_id == "common"


@pytest.mark.parametrize("call", CALLS)
def test_several_that_have_it_are_an_error_until_one_is_named(
    call: str, apps: ExitStack, sqlite_url: str
) -> None:
    common = flow("common")
    bound(apps, sqlite_url, "one")
    two = bound(apps, sqlite_url, "two")
    with pytest.raises(ConfigurationError, match=rf"{call}\(\).* \('one', 'two'\).*set_default"):
        getattr(common, call)()
    two.set_default()
    assert common.s().app is two.bound.app


def test_without_an_app_or_without_the_workflow(apps: ExitStack, sqlite_url: str) -> None:
    common, special = flow("common"), flow("special")
    with pytest.raises(ConfigurationError, match="no Celery app, which delay"):
        common.delay()
    bound(apps, sqlite_url, "one", special)
    with pytest.raises(ConfigurationError, match=r"no task of the Celery app 'one'.*workflows="):
        common.delay()
