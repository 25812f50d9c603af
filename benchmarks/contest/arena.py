"""One turn of a contestant: its own database and Redis database, its workers and its client."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg
from psycopg import sql
from redis import Redis

from benchmarks.contest.contestants import PEERS, Contestant
from tests.support.guard import guard
from tests.support.processes import Program, until
from tests.support.servers import HOST, PostgresServer, RedisServer

_START_SECONDS = 60.0
Environ = dict[str, str | None]


class DriverFailed(Exception):
    """A contestant's client could not do what it was asked for."""


@dataclass
class Ledger:
    """What the workflows of one turn did, and when, by the machine's monotonic clock."""

    path: Path
    _entries: list[tuple[str, str, float]] = field(default_factory=list)
    _offset: int = 0

    def forget(self) -> None:
        """Look only at what comes from now on."""
        self._read()
        self._entries.clear()

    def times(self, what: str) -> list[float]:
        """When it was done, sorted; once for each execution, the first time."""
        return sorted(self._first(what).values())

    def marks(self, what: str) -> list[float]:
        """When it was done, each time, sorted."""
        self._read()
        return sorted(at for kind, _, at in self._entries if kind == what)

    def spans(self, begin: str, end: str) -> list[float]:
        """Seconds from one to the other, of each execution that has both."""
        begun, ended = self._first(begin), self._first(end)
        return [at - begun[execution] for execution, at in ended.items() if execution in begun]

    def _first(self, what: str) -> dict[str, float]:
        self._read()
        first: dict[str, float] = {}
        for kind, execution, at in self._entries:
            if kind == what:
                first.setdefault(execution, at)
        return first

    def _read(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.decode().splitlines():
            what, execution, at = line.split()
            self._entries.append((what, execution, float(at)))


class Client:
    """A contestant's driver program."""

    def __init__(self, command: list[str], env: Environ, log: Path) -> None:
        # As the tests' programs: the same environment, and ended whatever happens.
        like = Program(command, log=log, env=env)
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=log.parent,
                env=like.environment,
                start_new_session=True,
            )
        self._log = log
        guard().watch(self._process.pid, signal.SIGKILL)
        self._answer()

    def call(self, call: str, **given: Any) -> dict[str, Any]:
        """Have it do something.

        Raises:
            DriverFailed: it can't.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"call": call, **given}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": f"ended: {_tail(self._log)}"}
        if "error" in answer:
            raise DriverFailed(answer["error"])
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
        guard().forget(self._process.pid)


@dataclass
class Arena:
    """The servers of one run, with a database of each contestant."""

    folder: Path
    postgres: PostgresServer
    redis: RedisServer
    _numbers: dict[str, int] = field(default_factory=dict)

    def database(self, contestant: Contestant) -> str:
        """The name of its database on PostgreSQL."""
        return f"contest_{self._number(contestant)}"

    def redis_url(self, contestant: Contestant) -> str:
        """The URL of its database on Redis."""
        return f"redis://{HOST}:{self.redis.port}/{self._number(contestant)}"

    def env(self, contestant: Contestant, ledger: Path) -> Environ:
        """For all programs of a turn."""
        postgres = f"postgres@{HOST}:{self.postgres.port}/{self.database(contestant)}"
        redis = self.redis_url(contestant)
        return {
            "PYTHONPATH": contestant.import_path,
            "HOME": str(self.folder),
            "CONTEST_DATABASE": f"postgresql://{postgres}",
            "CONTEST_REDIS": redis,
            "CONTEST_LEDGER": str(ledger),
            "POLOS_DATABASE_URL": f"postgresql+psycopg://{postgres}",
            "POLOS_BROKER_URL": redis,
            **contestant.env,
        }

    def prepare(self, contestant: Contestant) -> None:
        """Make its tables once; each turn gets a copy of them."""
        template = f"{self.database(contestant)}_template"
        with self.postgres.connect() as connection:
            _execute(connection, "CREATE DATABASE {}", template)
        if not contestant.prepare:
            return
        env = self.env(contestant, self.folder / "ledger")
        for name in ("CONTEST_DATABASE", "POLOS_DATABASE_URL"):
            env[name] = f"{env[name]}_template"
        log = self.folder / f"{template}.log"
        command = [contestant.python, contestant.program, "prepare"]
        with Program(command, log=log, env=env, cwd=PEERS) as program:
            if program.wait(_START_SECONDS):
                raise DriverFailed(program.tail(3))

    @contextmanager
    def turn(self, contestant: Contestant) -> Iterator[Turn]:
        """A fresh database, an empty Redis database, and a client; no workers yet."""
        name = self.database(contestant)
        with self.postgres.connect() as connection:
            _execute(connection, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
            _execute(connection, "CREATE DATABASE {} TEMPLATE {}", name, f"{name}_template")
        with Redis.from_url(self.redis_url(contestant)) as redis:
            redis.flushdb()
        ledger = self.folder / f"{name}-{time.monotonic_ns()}"
        with Turn(contestant, self.env(contestant, ledger), Ledger(ledger)) as turn:
            yield turn

    def _number(self, contestant: Contestant) -> int:
        return self._numbers.setdefault(contestant.name, len(self._numbers) + 1)


class Turn:
    """A contestant at work."""

    def __init__(self, contestant: Contestant, env: Environ, ledger: Ledger) -> None:
        self.contestant = contestant
        self.ledger = ledger
        self._env = env
        self._opened = ExitStack()
        self._workers: list[Program] = []
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """Its driver, started when it is first needed."""
        if self._client is None:
            command = [self.contestant.python, self.contestant.program, "driver"]
            log = self.ledger.path.with_suffix(".driver.log")
            self._client = Client(command, self._env, log)
            self._opened.callback(self._client.close)
        return self._client

    def work_with(self, processes: int) -> None:
        """End the workers, and start as many processes anew; returns when they are ready."""
        self.stop_workers()
        for number, args in enumerate(self.contestant.workers(processes)):
            log = self.ledger.path.with_suffix(f".{processes}.{number}.log")
            command = [self.contestant.python, *args]
            worker = Program(command, log=log, env=self._env, cwd=PEERS, name=log.stem)
            self._workers.append(self._opened.enter_context(worker))
        for worker in self._workers:
            worker.wait_for(self.contestant.ready, _START_SECONDS)

    def stop_workers(self) -> None:
        """Kill them all: how well they end is not the contest's matter."""
        for worker in self._workers:
            worker.kill(signal.SIGKILL, group=True)
            worker.close()
        self._workers.clear()

    def hold(self) -> None:
        """Let the workers stand still, as they are."""
        self._signal(signal.SIGSTOP)

    def release(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def cpu(self) -> float:
        """Seconds of processor time that the workers and their children have used."""
        processes = [psutil.Process(worker.pid) for worker in self._workers]
        children = [child for process in processes for child in process.children(recursive=True)]
        times = [process.cpu_times() for process in (*processes, *children)]
        return sum(used.user + used.system for used in times)

    def wait_for(self, what: str, count: int, budget: float) -> int:
        """Wait until it was done so often, or the budget is spent; how often it was."""
        end = time.monotonic() + budget
        while (found := len(self.ledger.marks(what))) < count and time.monotonic() < end:
            time.sleep(0.05)
        return found

    def wait_for_records(self, count: int, seconds: float = 10.0) -> None:
        """Wait until the contestant's own records say that so many have ended well."""
        until(lambda: self.client.call("ended")["ended"] == count, seconds, message="records")

    def _signal(self, sig: signal.Signals) -> None:
        for worker in self._workers:
            worker.kill(sig, group=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self.stop_workers()
        self._opened.close()


def _execute(connection: psycopg.Connection[Any], statement: str, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _tail(log: Path) -> str:
    return " / ".join(log.read_text(errors="replace").splitlines()[-3:])
