"""Polos bound to other people's apps: when, to how many, and what of them it leaves alone."""

from __future__ import annotations

import gc
import importlib
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, Task, shared_task

from polos import ConfigurationError, Polos, workflow
from polos.binding.names import STEP_DONE, STEP_FAILED
from polos.binding.of_app import bound_of
from polos.binding.tasks import _KEPT, PolosTask
from polos.definition.registry import registry
from polos.definition.workflow import Workflow

Discover = Callable[..., None]


@pytest.fixture(autouse=True)
def own_workflows() -> Iterator[None]:
    """No test sees another's workflows or clients."""
    registry.set_default_client(None)
    with registry.scoped(empty=True):
        yield
    registry.set_default_client(None)
    for app in list(_made):
        app.close()
    gc.collect()


# Celery holds an app that looks for tasks until its process ends.
_made: weakref.WeakSet[Celery] = weakref.WeakSet()


def make(name: str | None = "shop", **conf: Any) -> Celery:
    app = Celery(name, broker="memory://", set_as_current=False, changes=conf)
    _made.add(app)
    return app


def flow(id: str = "bind-flow") -> Workflow[Any, Any]:
    async def greet(ctx: Any) -> str:
        return "hello"

    return workflow(id=id)(greet)


# -- when ------------------------------------------------------------------------------------------


def test_binding_reads_nothing_of_an_app_that_is_configured_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flow()
    app = make()
    polos = Polos(app)
    assert not app.configured
    assert not app.finalized
    settings = types.ModuleType("bind_settings")
    settings.CELERY_POLOS_DATABASE_URL = "sqlite:///there.db"  # type: ignore[attr-defined]
    settings.CELERY_POLOS_LEASE_SECONDS = 7  # type: ignore[attr-defined]
    settings.CELERY_TASK_DEFAULT_QUEUE = "theirs"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bind_settings", settings)
    monkeypatch.setenv("POLOS_LEASE_SECONDS", "99")
    monkeypatch.setenv("POLOS_MAX_RECOVERIES", "3")
    app.config_from_object("bind_settings", namespace="CELERY")
    assert polos.settings.database_url == "sqlite:///there.db"
    assert polos.settings.lease_seconds == 7
    assert polos.settings.max_recoveries == 3
    assert "polos.bind-flow" in app.tasks
    assert app.conf.task_default_queue == "theirs"


def test_settings_on_the_configuration_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    app = make()
    polos = Polos(app, project_id="given")
    app.conf.polos_database_url = "sqlite:///later.db"
    app.conf.polos_project_id = "configured"
    assert polos.settings.database_url == "sqlite:///later.db"
    assert polos.settings.project_id == "given"


@pytest.mark.parametrize("finalized", [False, True])
def test_workflows_before_and_after(finalized: bool) -> None:
    app = make()
    if finalized:
        app.finalize()
    flow("bind-before")
    Polos(app)
    flow("bind-between")
    assert {"polos.bind-before", "polos.bind-between"} <= set(app.tasks)
    flow("bind-after")
    assert isinstance(app.tasks["polos.bind-after"], PolosTask)


def test_twice_is_an_error_until_it_is_closed(sqlite_url: str) -> None:
    app = make()
    flow()
    first = Polos(app, sqlite_url)
    with pytest.raises(ConfigurationError, match="'shop' has Polos already"):
        Polos(app, sqlite_url)
    assert "polos.bind-flow" in app.tasks
    first.close()
    assert not [name for name in app.tasks if name.startswith("polos.")]
    assert not app.steps["worker"]
    assert not app.steps["consumer"]
    assert app.close.__func__ is Celery.close
    second = Polos(app, sqlite_url)
    assert "polos.bind-flow" in app.tasks
    assert bound_of(app) is second.bound


def test_a_project_may_keep_it_in_the_app() -> None:
    app: Any = make()
    app.polos = polos = Polos(app)
    assert bound_of(app) is polos.bound
    polos.close()
    assert app.polos is polos


# -- modules ---------------------------------------------------------------------------------------


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Two packages with tasks and workflows, and one with workflows only."""
    names = [f"bind_{part}" for part in ("orders", "bills", "mail")]
    for name in names:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").touch()
        if name != "bind_mail":
            (folder / "tasks.py").write_text("")
        (folder / "workflows.py").write_text(
            f"from polos import workflow\n@workflow(id='{name}')\nasync def made(ctx): ...\n"
        )
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield names
    for name in [it for it in sys.modules if it.startswith("bind_")]:
        del sys.modules[name]


def discovered(app: Celery) -> set[str]:
    # What a worker does when it starts.
    app.loader.import_default_modules()
    return {name.removeprefix("polos.") for name in app.tasks if name.startswith("polos.bind")}


@pytest.mark.parametrize("first", ["polos", "discovery"])
@pytest.mark.parametrize("kind", ["list", "callable", "related"])
def test_workflows_are_found_where_tasks_are(packages: list[str], first: str, kind: str) -> None:
    app = make()
    if first == "polos":
        Polos(app)
    if kind == "related":
        app.autodiscover_tasks(packages, related_name="workflows")
    else:
        app.autodiscover_tasks(packages if kind == "list" else lambda: packages)
    if first == "discovery":
        Polos(app)
    assert not [name for name in sys.modules if name.startswith("bind_")]
    assert discovered(app) == set(packages)


def test_at_once_where_the_app_wants_it(packages: list[str]) -> None:
    app = make()
    Polos(app)
    app.autodiscover_tasks(packages, force=True)
    assert {f"polos.{name}" for name in packages} <= set(app.tasks)


def test_beside_the_tasks_that_were_found_before(packages: list[str]) -> None:
    app = make()
    app.autodiscover_tasks(packages, force=True)
    Polos(app)
    # In the third package nothing was found.
    assert discovered(app) == set(packages[:2])


def test_not_where_it_is_switched_off(packages: list[str]) -> None:
    app = make(polos_autodiscover=False)
    Polos(app)
    app.autodiscover_tasks(packages)
    assert discovered(app) == set()


def test_imports_and_include(packages: list[str]) -> None:
    app = Celery("shop", broker="memory://", set_as_current=False, include=["bind_mail.workflows"])
    app.conf.imports = ["bind_bills.workflows"]
    Polos(app)
    assert discovered(app) == {"bind_mail", "bind_bills"}


# -- how many --------------------------------------------------------------------------------------


def test_workflows_are_in_every_app_or_in_those_that_name_them(sqlite_url: str) -> None:
    common, special = flow("bind-common"), flow("bind-special")
    one, two = make("one"), make("two")
    Polos(one, sqlite_url)
    Polos(two, sqlite_url, workflows=[special])
    assert {"polos.bind-common", "polos.bind-special"} <= set(one.tasks)
    assert "polos.bind-common" not in two.tasks
    assert "polos.bind-special" in two.tasks
    assert common.start().id
    with pytest.raises(ConfigurationError, match=r"several Celery apps \('one', 'two'\)"):
        special.start()


def test_each_app_has_its_own_database(tmp_path: Path) -> None:
    greet = flow()
    apps = [make("one"), make("two")]
    bound = [Polos(app, f"sqlite:///{tmp_path / str(app.main)}.db") for app in apps]
    started = [greet.start(polos).id for polos in bound]
    for polos, mine, other in zip(bound, started, reversed(started), strict=True):
        assert polos.get(mine).workflow_id == "bind-flow"
        assert polos.bound.store.get(other) is None
    with pytest.raises(ConfigurationError, match="set_default"):
        greet.start()
    bound[1].set_default()
    assert bound[1].get(greet.start().id)
    bound[1].close()
    assert bound[0].get(greet.start().id)


def test_a_factory_makes_the_app_anew_each_time(tmp_path: Path) -> None:
    greet = flow()

    def create_app(number: int) -> Celery:
        app = make()
        app.conf.polos_database_url = f"sqlite:///{tmp_path / str(number)}.db"
        Polos(app)
        app.autodiscover_tasks(["tests"])
        return app

    kept = [create_app(number) for number in range(5)]
    for app in reversed(kept):
        id_ = greet.start().id
        assert bound_of(app).store.get(id_) is not None
        app.close()
    with pytest.raises(ConfigurationError, match="no client"):
        greet.start()


def test_an_app_that_nobody_holds_is_gone(sqlite_url: str) -> None:
    greet = flow()

    def used() -> weakref.ref[Celery]:
        app = make()
        Polos(app, sqlite_url)
        assert app.tasks
        greet.start()
        return weakref.ref(app)

    gone = used()
    gc.collect()
    assert gone() is None
    with pytest.raises(ConfigurationError, match="no client"):
        greet.start()
    flow("bind-later")


def test_an_app_that_is_only_held_by_itself_is_none_to_choose_from(sqlite_url: str) -> None:
    greet = flow()
    gc.disable()
    try:
        Polos(make("gone"), sqlite_url)
        kept = make("kept")
        Polos(kept, sqlite_url)
        id_ = greet.start().id
    finally:
        gc.enable()
    assert bound_of(kept).store.get(id_) is not None


def test_apps_that_are_closed_by_a_block(sqlite_url: str) -> None:
    greet = flow()
    with make() as app:
        Polos(app, sqlite_url)
        assert greet.start().id
    with pytest.raises(ConfigurationError, match="no client"):
        greet.start()


# -- what is theirs --------------------------------------------------------------------------------


class Context(Task):
    """What Flask's documentation has for all tasks."""

    ignore_result = True
    autoretry_for = (ValueError,)
    track_started = True
    depth = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        type(self).depth += 1
        return super().__call__(*args, **kwargs)


def test_the_class_that_a_project_has_for_all_tasks_holds_for_ours() -> None:
    app = Celery("shop", broker="memory://", set_as_current=False, task_cls=Context)
    flow()
    Polos(app)
    task = app.tasks["polos.bind-flow"]
    assert isinstance(task, Context)
    assert isinstance(task, PolosTask)
    assert task.ignore_result is True
    assert task.run.__func__ is PolosTask.run  # not wrapped for retries
    assert task.track_started is False


def test_what_polos_sets_on_its_tasks_is_refused_beside_a_workflow() -> None:
    for name in _KEPT:
        with pytest.raises(ValueError, match=f"{name} are set by Polos"):
            workflow(celery={name: False})


def test_a_task_that_is_called_as_a_function_says_what_to_do() -> None:
    flow()
    app = make(result_backend="cache+memory://")
    Polos(app)
    task = app.tasks["polos.bind-flow"]
    with pytest.raises(TypeError, match=r"polos\.bind-flow.* can't be called .* in a group"):
        task({})
    # Whoever waits for its result would wait for ever.
    mapped = task.map([{}]).apply()
    assert mapped.state == "FAILURE"
    assert "start it with delay" in str(mapped.result)


def test_annotations(monkeypatch: pytest.MonkeyPatch) -> None:
    app = make(
        task_annotations={
            "*": {"acks_late": False, "track_started": True, "max_retries": 9},
            "polos.bind-flow": {"rate_limit": "10/m", "time_limit": 7},
        }
    )
    flow()
    Polos(app)
    task = app.tasks["polos.bind-flow"]
    assert (task.rate_limit, task.time_limit, task.max_retries) == ("10/m", 7, 9)
    assert (task.acks_late, task.reject_on_worker_lost, task.track_started) == (True, True, False)


def test_nothing_of_theirs_is_changed() -> None:
    conf = {
        "task_serializer": "yaml",
        "accept_content": ["yaml", "json"],
        "task_acks_late": False,
        "worker_prefetch_multiplier": 4,
        "task_compression": "gzip",
        "task_routes": {"shop.*": {"queue": "shop"}},
        "result_backend": "cache+memory://",
    }

    def project() -> Celery:
        app = make(**conf)
        app.task(name="shop.pay", rate_limit="3/m", shared=False)(pay)
        return app

    @shared_task(name="bind.shared", set_as_current=False)
    def shared() -> None: ...

    flow()
    plain, bound = project(), project()
    Polos(bound)
    theirs = set(plain.tasks)
    assert set(bound.tasks) - theirs == {"polos.bind-flow", STEP_DONE, STEP_FAILED}
    assert dict(bound.conf.items()) == dict(plain.conf.items())
    for name in theirs:
        assert attributes(bound.tasks[name]) == attributes(plain.tasks[name]), name
    assert on_the_wire(bound) == on_the_wire(plain)


def pay(card: int) -> int:
    return card


def attributes(task: Task) -> dict[str, Any]:
    names = [name for name in dir(task) if not name.startswith("__")]
    found = {name: getattr(task, name) for name in names}
    return {name: it for name, it in found.items() if it is None or _is_plain(it)}


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | tuple | dict | list)


def on_the_wire(app: Celery) -> list[Any]:
    """What a broker is given for one of their tasks."""
    with app.connection_for_write() as connection:
        app.tasks["shop.pay"].apply_async((42,), task_id="1", connection=connection, countdown=0)
        message = connection.default_channel.basic_get("shop", no_ack=True)
        properties = {
            name: value
            for name, value in message.properties.items()
            if name not in {"delivery_tag", "reply_to"}
        }
        return [message.body, message.headers, properties, message.content_type]
