"""Django's side of it, in a process of its own: its settings are one for each process.

Usage: python -m tests.callers.django_callers DATABASE_URL. Prints what it has seen, as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import django
from django.conf import settings
from django.db import connection, connections, models, transaction
from sqlalchemy import make_url

from polos.client.direct import DirectClient
from polos.contrib.django.transactions import in_atomic
from polos.definition.context import WorkflowContext
from polos.definition.workflow import workflow
from polos.errors import ConfigurationError, ExecutionExists, StepExecutionError
from polos.model.ports import StartRequest
from polos.model.records import Hint
from polos.model.workers import Reach
from polos.store import tags
from polos.store.migrate import upgrade
from polos.store.sql_store import SqlStore
from tests.engine.conftest import Engine

ENGINES = {
    "sqlite": "django.db.backends.sqlite3",
    "postgresql": "django.db.backends.postgresql",
    "mysql": "django.db.backends.mysql",
    "mariadb": "django.db.backends.mysql",
}


def set_up(text: str) -> None:
    url = make_url(text)
    if url.get_backend_name() in {"mysql", "mariadb"}:
        import pymysql

        pymysql.install_as_MySQLdb()
    database = {
        "ENGINE": ENGINES[url.get_backend_name()],
        "NAME": url.database,
        "HOST": url.host or "",
        "PORT": str(url.port or ""),
        "USER": url.username or "",
        "PASSWORD": url.password or "",
    }
    settings.configure(
        DATABASES={
            "default": database,
            "bare": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
        },
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        INSTALLED_APPS=["polos.contrib.django"],
        USE_TZ=True,
    )
    django.setup()


class Hints:
    def __init__(self) -> None:
        self.sent: list[str] = []

    def dispatch(self, hints: Sequence[Hint]) -> int:
        self.sent += [hint.execution_id for hint in hints]
        return len(hints)

    def is_away(self) -> bool:
        return False


def make_model() -> Any:
    class Guest(models.Model):
        name = models.CharField(max_length=50)

        class Meta:
            app_label = "callers"

    with connection.schema_editor() as editor:
        editor.create_model(Guest)
    return Guest


class Scenes:
    """Starts in Django's transactions; each gives what the test is to compare."""

    def __init__(self, store: SqlStore, guest: Any) -> None:
        self.store, self.guest, self.hints = store, guest, Hints()
        self.client = DirectClient("default", lambda: store, self.hints)

    def start(self, **given: Any) -> str:
        request = StartRequest("flow", b"payload", connection=connection, **given)
        return self.client.start(request).id

    def is_there(self, id_: str) -> bool:
        return self.store.get(id_) is not None

    def committed(self) -> Any:
        with transaction.atomic():
            self.guest.objects.create(name="Ada")
            id_ = self.start(run_timeout_seconds=5.0, initial_state=b"%s", tags=("a", "b"))
            early = list(self.hints.sent)
        stored = self.store.get(id_)
        due = [hint.execution_id for hint in self.store.redispatch(10, Reach())]
        kept = tags.find(self.store.database, [id_])[id_], stored.initial_state
        return [early, self.hints.sent == [id_], due == [id_], kept == (("a", "b"), b"%s")]

    def rolled_back(self) -> Any:
        try:
            with transaction.atomic():
                id_ = self.start()
                raise ZeroDivisionError
        except ZeroDivisionError:
            return [self.is_there(id_), id_ in self.hints.sent]

    def savepoints(self) -> Any:
        with transaction.atomic():
            kept = self.start()
            try:
                with transaction.atomic():
                    lost = self.start()
                    raise ZeroDivisionError
            except ZeroDivisionError:
                pass
        sent = [id_ in self.hints.sent for id_ in (kept, lost)]
        return [self.is_there(kept), self.is_there(lost), sent]

    def without_a_transaction(self) -> Any:
        id_ = self.start()
        return [self.is_there(id_), id_ in self.hints.sent]

    def taken(self) -> Any:
        with transaction.atomic():
            first = self.start(idempotency_key="k", execution_id="one")
            same = self.start(idempotency_key="k")
            try:
                self.start(execution_id="one")
                refused = False
            except ExecutionExists:
                refused = True
            self.guest.objects.create(name="after")
        again = self.start(idempotency_key="k")
        return [first == same == again, refused, self.hints.sent.count("one")]

    def without_tables(self) -> Any:
        request = StartRequest("flow", b"payload", connection=connections["bare"])
        try:
            self.client.start(request)
        except ConfigurationError as error:
            return "no tables of Polos" in str(error)
        return False


def steps(guest: Any) -> dict[str, Any]:
    """Transaction steps with Django's ORM, where Polos's database is Django's."""
    engine = Engine("")
    assert engine.store.transactor is in_atomic
    calls: list[int] = []

    def sign_in(db: Any, name: str) -> str:
        assert db.in_atomic_block
        guest.objects.create(name=name)
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError("not yet")
        return name

    def commits(db: Any) -> None:
        guest.objects.create(name="never")
        db.commit()

    @workflow
    async def flow(ctx: WorkflowContext) -> list[str]:
        name = await ctx.step.transaction("sign in", sign_in, "Grace", base_delay=0.01)
        try:
            await ctx.step.transaction("commits", commits, max_retries=0)
        except StepExecutionError as error:
            return [name, error.error_type]
        return [name]

    id_ = engine.start(flow)
    result = engine.result(id_)
    attempts = engine.checkpoints(id_)["sign in"].attempts
    count = guest.objects.filter(name__in=["Grace", "never"]).count()
    engine.store.transactor = stolen(engine, id_)
    other = engine.start(flow)
    engine.store.transactor = stolen(engine, other)
    dropped = engine.deliver(other).outcome is None
    left = guest.objects.filter(name="Grace").count()
    engine.keeper.stop()
    engine.store.close()
    return {"steps": [result, attempts, count], "lost lease": [dropped, left]}


def stolen(engine: Engine, id_: str) -> Any:
    """As ``in_atomic``, when another worker has just taken the execution over."""
    from sqlalchemy import update

    from polos.store.schema import executions

    @contextmanager
    def taken_over() -> Iterator[Any]:
        engine.store.database.run(
            update(executions).where(executions.c.id == id_).values(lease_token="another")
        )
        with in_atomic() as given:
            yield given

    return taken_over


def main(url: str) -> None:
    set_up(url)
    guest = make_model()
    store = SqlStore.open(Engine(url).settings)
    upgrade(store.database)
    scenes = Scenes(store, guest)
    names = (
        "committed",
        "rolled_back",
        "savepoints",
        "without_a_transaction",
        "taken",
        "without_tables",
    )
    seen = {name: getattr(scenes, name)() for name in names}
    seen |= steps(guest)
    store.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1])
