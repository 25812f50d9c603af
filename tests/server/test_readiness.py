"""Whether the server says that it can do its work."""

from __future__ import annotations

from pathlib import Path

from polos import Polos
from tests.server import flows
from tests.server.api import Api
from tests.support.api_server import ApiServer
from tests.support.processes import until
from tests.support.servers import HOST, RedisServer, free_port


def test_all_is_well(api: Api) -> None:
    assert api.http.get("/health").json()["status"] == "ok"
    answer = api.http.get("/ready")
    checks = {"store": "ok", "schema": "ok", "broker": "ok"}
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "checks": checks})


def test_a_broker_that_is_away_is_told_without_saying_where_it_is(tmp_path: Path) -> None:
    url = f"redis://:password@{HOST}:{free_port()}/0"
    polos = Polos(database_url=f"sqlite:///{tmp_path}/polos.db", broker_url=url)
    with ApiServer(polos.bound.app) as server, server.client() as http:
        answer = http.get("/ready")
        assert answer.status_code == 503
        checks = {"store": "ok", "schema": "ok", "broker": "failed"}
        assert answer.json() == {"status": "failed", "checks": checks}
        assert answer.headers["Retry-After"]
        assert http.get("/health").status_code == 200
    polos.close()


def test_a_broker_that_comes_back(redis_server: RedisServer, tmp_path: Path) -> None:
    polos = Polos(
        database_url=f"sqlite:///{tmp_path}/polos.db",
        broker_url=redis_server.url,
        workflows=flows.ALL,
    )
    with ApiServer(polos.bound.app) as server, server.client() as http:
        assert http.get("/ready").status_code == 200
        redis_server.kill()
        until(lambda: http.get("/ready").status_code == 503)
        redis_server.start()
        until(lambda: http.get("/ready").status_code == 200)
    polos.close()


def test_a_database_that_is_away_is_told_without_saying_where_it_is() -> None:
    polos = Polos(database_url=f"postgresql+psycopg://secret@{HOST}:{free_port()}/polos")
    with ApiServer(polos.bound.app) as server, server.client() as http:
        answer = http.get("/ready")
        assert answer.status_code == 503
        checks = {"store": "failed", "schema": "failed", "broker": "ok"}
        assert answer.json()["checks"] == checks
    polos.close()


def test_a_frozen_broker_keeps_nobody_waiting_for_long(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    polos = Polos(database_url=f"sqlite:///{tmp_path}/polos.db", broker_url=redis_server.url)
    with ApiServer(polos.bound.app) as server, server.client() as http:
        assert http.get("/executions").status_code == 200
        redis_server.freeze()
        try:
            assert http.get("/ready").json()["checks"]["broker"] == "failed"
            assert http.get("/executions").status_code == 200
        finally:
            redis_server.thaw()
    polos.close()
