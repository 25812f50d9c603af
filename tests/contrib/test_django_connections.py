"""What becomes of Django's connections in a worker whose steps use the ORM."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.contrib.sites import Site, entry
from tests.support.processes import Program, until
from tests.support.servers import PostgresServer, RedisServer

Start = Callable[..., Program]
pytestmark = pytest.mark.acceptance

EXECUTIONS = 50
_OPEN = "SELECT state FROM pg_stat_activity WHERE datname = %s AND application_name = 'django'"


def states(server: PostgresServer, url: str) -> Counter[str]:
    """Django's connections to a database, by what they do."""
    with server.connect() as connection:
        rows = connection.execute(_OPEN, [make_url(url).database]).fetchall()
    return Counter(str(state) for (state,) in rows)


@pytest.mark.parametrize(
    ("pool", "max_age"), [("prefork", 0), ("threads", 0), ("gevent", 0), ("threads", None)]
)
def test_none_leaks_and_none_stays_in_a_transaction(
    program: Start,
    postgres_server: PostgresServer,
    postgres_url: str,
    redis_server: RedisServer,
    tmp_path: Path,
    pool: str,
    max_age: int | None,
) -> None:
    options = {"application_name": "django"}
    databases = {"default": entry(postgres_url, OPTIONS=options, CONN_MAX_AGE=max_age)}
    site = Site(program, tmp_path, databases, SITE_BROKER=redis_server.url)
    site.manage("migrate", "-v0")
    # From here on only Django's own connections have its name.
    site.env |= {"SITE_POLOS_URL": postgres_url}
    command = ("celery", "-A", "tests.contrib.site", "worker", "-P", pool, "-c", "2", "-l", "INFO")
    worker = site.start(*command, "--without-mingle", name="worker")
    worker.wait_for(" ready.", 60)
    # Under gevent Django's async ORM finds a running loop in the thread that it takes.
    async_ = "no" if pool == "gevent" else "async"
    each = 4 if pool == "gevent" else 5
    assert site.ask("run_guests", str(EXECUTIONS), async_) == EXECUTIONS * each
    if max_age == 0:
        until(lambda: not states(postgres_server, postgres_url))
    else:
        # One of each thread that a step was given, which keeps it for the next one.
        until(lambda: set(states(postgres_server, postgres_url)) <= {"idle"})
        assert sum(states(postgres_server, postgres_url).values()) <= 24
    assert worker.stop(60) == 0
