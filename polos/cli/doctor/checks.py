"""All that the doctor looks at, one thing after the other. None of them hides another."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from polos.binding.inspection import SHARED, release
from polos.cli.doctor import asking, of_broker, of_database, of_workers
from polos.cli.doctor.facts import BrokerFacts, CeleryFacts
from polos.cli.doctor.finding import Finding, Level, error, ok, warning
from polos.cli.target import Target
from polos.errors import StoreDenied, StoreUnavailable
from polos.model.facts import Overview, PoolerFacts
from polos.model.words import counted
from polos.store import overview, probes
from polos.store.database import Database
from polos.store.migrate import found_schema
from polos.store.schema import SCHEMA

log = logging.getLogger("polos.doctor")

Found = Iterable[Finding | None]


class Examination:
    """One look at a deployment.

    Args:
        target: the app and the settings.
        import_code: imports the code of the workflows; what it raises is a finding.
    """

    def __init__(self, target: Target, import_code: Callable[[], object]) -> None:
        self._target = target
        self._import_code = import_code
        self._database = Database(target.settings.database_url, connections=2)

    def findings(self) -> Iterator[Finding]:
        """What was found, in the order in which it was looked at."""
        yield from _isolated("code", self._code)
        yield from _isolated("broker", self._broker)
        yield from _isolated("celery", lambda: of_broker.of_celery(self._celery))
        yield from _isolated(
            "settings", lambda: of_broker.of_settings(self._target.settings, self._celery)
        )
        yield from _isolated("retention", lambda: [of_broker.of_retention(self._target.settings)])
        reached = [*_isolated("database", self._reach)]
        yield from reached
        if all(found.level is not Level.ERROR for found in reached):
            yield from self._of_database()
        self._database.close()

    def _of_database(self) -> Iterator[Finding]:
        database = self._database
        yield from _isolated("server", lambda: of_database.of_server(probes.server(database)))
        yield from _isolated("clock", lambda: [of_database.of_clock(probes.clock(database))])
        yield from _isolated("pooler", lambda: [of_database.of_pooler(self._pooler)])
        yield from _isolated(
            "collation", lambda: [of_database.of_collations(probes.collations(database))]
        )
        schema = [*_isolated("schema", self._schema)]
        yield from schema
        if all(found.level is not Level.ERROR for found in schema):
            yield from _isolated("rights", self._rights)
            yield from self._of_project()

    def _of_project(self) -> Iterator[Finding]:
        yield from _isolated("connections", self._connections)
        yield from _isolated("file", self._file)
        yield from _isolated("workers", self._workers)
        yield from _isolated("queues", self._queues)
        yield from _isolated("versions", self._answers)

    @cached_property
    def _celery(self) -> CeleryFacts:
        return asking.celery_of(self._target.app)

    @cached_property
    def _overview(self) -> Overview:
        return overview.overview(self._database, self._target.settings.project_id, counted=False)

    @cached_property
    def _pooler(self) -> PoolerFacts | None:
        return probes.pooler(self._database)

    def _code(self) -> Found:
        try:
            self._import_code()
        except Exception as fault:  # of the user's modules; any error is possible
            return [
                error(
                    "code",
                    f"the workflows can't be imported: {type(fault).__name__}: {fault}",
                    "correct that module; until then workers with it don't start",
                )
            ]
        ids = self._target.bound.workflow_ids()
        return [ok("code", f"{counted(len(ids), 'workflow')} defined here")] if ids else []

    @cached_property
    def _reached_broker(self) -> BrokerFacts:
        return asking.broker_of(self._target.app)

    def _broker(self) -> Found:
        return of_broker.of_broker(self._reached_broker, self._celery, self._target.settings)

    def _reach(self) -> Found:
        try:
            probes.reach(self._database)
        except StoreUnavailable as fault:
            return [
                error(
                    "database",
                    f"{fault.url} can't be reached: {fault.reason}",
                    "start the server, or correct polos_database_url (POLOS_DATABASE_URL)",
                )
            ]
        return [ok("database", f"{self._database.url} answers")]

    def _schema(self) -> Found:
        try:
            found = found_schema(self._database)
        except StoreDenied as fault:
            return [of_database.of_rights([fault.reason])]
        return [of_database.of_schema(found, SCHEMA)]

    def _rights(self) -> Found:
        return [of_database.of_rights(probes.refusals(self._database))]

    def _connections(self) -> Found:
        facts = probes.connections(self._database)
        if facts is None:
            return []
        pooled = self._pooler is not None and self._pooler.by_transaction
        alive = of_workers.living(self._overview.workers)
        return [of_database.of_connections(facts, alive, pooled=pooled)]

    def _file(self) -> Found:
        facts = probes.file(self._database)
        if facts is None:
            return []
        return of_database.of_file(facts, len(of_workers.living(self._overview.workers)))

    def _workers(self) -> Found:
        projects = overview.projects_at_work(self._database)
        return of_workers.of_workers(self._overview, self._target.settings.project_id, projects)

    def _queues(self) -> Found:
        alive = of_workers.living(self._overview.workers)
        served = {workflow for worker in alive for workflow in worker.workflows}
        routes = asking.routes_of(self._target.app, sorted(served))
        return of_workers.of_queues(routes, self._overview, alive)

    def _answers(self) -> Found:
        if self._reached_broker.refusal:
            return []
        here = {name: getattr(self._target.settings, name) for name in SHARED}
        return of_workers.of_answers(asking.answers_of(self._target.app), release(), here)


def _isolated(check: str, look: Callable[[], Found]) -> Iterator[Finding]:
    """What a check finds; one that fails itself says so, and the next one follows."""
    try:
        yield from [found for found in look() if found is not None]
    except Exception as fault:  # any error: the other checks must still be made
        log.debug("the check %s failed", check, exc_info=True)
        yield warning(
            check,
            f"this could not be checked: {type(fault).__name__}: {fault}",
            "if the database user may not ask that, ask for its rights",
        )
