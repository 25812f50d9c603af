"""What a project sets in Celery holds for workflows as for any task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery

from polos import ExecutionHandle, Polos, PolosClient, StepExecutionError
from polos.binding.of_app import bound_of
from polos.model.records import ExecutionId, Hint
from tests.acceptance import ledger as ledgers
from tests.acceptance import site_app
from tests.acceptance.conftest import watched
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Stack, Workers
from tests.support.processes import Program
from tests.support.servers import PostgresServer, RedisServer


@dataclass
class Site(Stack):
    """The project with one of its configurations."""

    app: str = "tests.acceptance.site_app"
    kind: str = ""
    project: Celery | None = None

    @property
    def env(self) -> dict[str, str | None]:
        """What a program needs in its environment."""
        return {
            "HOME": str(self.folder),
            "C_FORCE_ROOT": "1",  # to take pickle
            "SITE_KIND": self.kind,
            "SITE_BROKER": self.broker,
            "SITE_DATABASE": self.database,
            ledgers.VARIABLE: str(self.ledger.path),
        }

    def client(self, **settings: Any) -> PolosClient:
        """What the project's programs use."""
        self.project = site_app.make_app(self.kind, self.broker, self.database)
        return Polos(self.project)


@pytest.fixture(scope="module", params=site_app.CONFIGURATIONS)
def stack(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    _redis: RedisServer,
    _postgres: PostgresServer,
) -> Iterator[Site]:
    """The project, with nothing in its queues and a new database."""
    folder = tmp_path_factory.mktemp(request.param)
    _redis.start().flush()
    with _postgres.start().fresh_database() as url:
        made = Site("site", folder, _redis.url, url, _redis, kind=request.param)
        with watched(made):
            yield made


@pytest.fixture(scope="module")
def site(workers: Workers, client: PolosClient) -> Program:
    """One worker for all that a configuration is to show."""
    return workers("prefork", slots=2, args=("-Q", site_app.QUEUES))


@pytest.fixture(scope="module")
def project(stack: Site, client: PolosClient) -> Celery:
    """The project as the program has it that starts workflows."""
    assert stack.project is not None
    return stack.project


def test_workflows_run(
    site: Program, stack: Site, client: PolosClient, ledger: Ledger, project: Celery
) -> None:
    handles = [site_app.journey.start(client) for _ in range(2)]
    me = str(uuid4())
    told = project.signature("site.told", (me,))
    # Protocol 1 has no chains; a link is of both.
    linked = project.tasks["polos.site-journey"].apply_async(link=told)
    processes = [handle.result_sync(60) for handle in handles]
    for handle, pids in zip(handles, processes, strict=True):
        assert ledger.runs(handle.id) == {"first": 1, "last": 1}
        if "per_child" in str(site_app.CONFIGURATIONS[stack.kind]):
            assert len(set(pids)) == 3
        found = client.get(handle.id)
        assert (found.recoveries, found.claims) == (0, 3)
    [end] = ledger.wait_for(me, "told", "end")
    assert len(end.text.split(",")) == 3
    assert client.wait(linked.id, 30).status == "completed"


def test_a_hint_creates_no_execution(site: Program, client: PolosClient) -> None:
    id_ = ExecutionId(str(uuid4()))
    assert client.bound.dispatcher.dispatch([Hint(id_, "site-journey")]) == 1
    site.wait_for(f"execution {id_}, which is not stored, is dropped")
    assert client.bound.store.get(id_) is None


def test_their_tasks_run_as_before(site: Program, stack: Site, project: Celery) -> None:
    result = project.tasks["site.add"].apply_async((1, 2))
    if stack.kind == "restless":
        site.wait_for(f"site.add[{result.id}] succeeded")
        assert result.state == "PENDING"  # its result is not kept
    else:
        assert result.get(timeout=30) == 3


def test_a_rate_limit_counts_each_attempt(
    site: Program, stack: Site, client: PolosClient, ledger: Ledger
) -> None:
    handles = [site_app.limited.start(client) for _ in range(4)]
    for handle in handles:
        handle.result_sync(60)
    begun = sorted(ledger.at(handle.id, "only") for handle in handles)
    # Six seconds, of which a process that is slow to begin the first may take some.
    if stack.kind != "lean":  # which has switched rate limits off
        assert begun[-1] - begun[0] > 2


@pytest.fixture(scope="module")
def soft(site: Program, client: PolosClient) -> dict[str, ExecutionHandle[str]]:
    """All at once: each of them takes two seconds."""
    places = ("step", "nowhere", "caught", "body")
    return {where: site_app.soft.start(client, {"where": where}) for where in places}


def test_a_soft_time_limit_is_raised_in_the_users_code(
    soft: dict[str, ExecutionHandle[str]], ledger: Ledger
) -> None:
    assert soft["step"].result_sync(60) == "cut short"
    assert soft["caught"].result_sync(60) == "SoftTimeLimitExceeded"
    assert soft["body"].result_sync(60) == "cleaned up"
    with pytest.raises(StepExecutionError) as caught:
        soft["nowhere"].result_sync(60)
    assert str(caught.value.error_type).endswith("SoftTimeLimitExceeded")
    for where in ("step", "nowhere", "caught"):
        assert ledger.runs(soft[where].id) == {"slow": 1}


def test_a_soft_time_limit_is_one_of_each_attempt(site: Program, client: PolosClient) -> None:
    assert site_app.patient.run_sync(client, timeout=60) == "in time"


def test_no_setting_of_theirs_is_another(project: Celery, stack: Site) -> None:
    plain = site_app.make_app(stack.kind, stack.broker, stack.database)
    assert bound_of(project) is not None
    assert dict(project.conf.items()) == dict(plain.conf.items())
