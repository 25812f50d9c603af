"""A project with workflows among its tasks, and its workers, for the tests of canvases."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery

from polos import Polos
from polos.definition.registry import registry
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Stack, Workers
from tests.support.processes import Program, until


class Market:
    """The project as a program has it that sends its tasks.

    Attributes:
        app: its Celery app.
        ledger: what its steps and tasks did.
    """

    def __init__(self, stack: Stack, workers: Workers, backend: str = "") -> None:
        self.stack = stack
        self.ledger: Ledger = stack.ledger
        self.backend = backend or stack.broker
        self._workers = workers
        self.app = Celery("market", set_as_current=False, broker=stack.broker, backend=self.backend)
        self.app.conf.task_default_queue = "market"
        self.app.conf.polos_auto_migrate = True
        self.polos = Polos(self.app, stack.database)

    @property
    def _env(self) -> dict[str, str | None]:
        return {
            "MARKET_BROKER": self.stack.broker,
            "MARKET_BACKEND": self.backend,
            "MARKET_DATABASE": self.stack.database,
            "CELERY_RESULT_BACKEND": None,
            "POLOS_BROKER_URL": None,
            "POLOS_DATABASE_URL": None,
        }

    def worker(
        self,
        name: str = "market",
        *,
        pool: str = "prefork",
        slots: int = 2,
        ready: bool = True,
        **env: str,
    ) -> Program:
        """Start a worker."""
        made = self._workers(
            pool,
            slots,
            name,
            app="tests.acceptance.market",
            env={**self._env, **env},
            ready=False,
        )
        if ready:
            made.wait_for(" ready.", 60)
        return made

    def program(self, *args: str) -> Program:
        """Another program of Celery's for the project, such as beat."""
        command = [sys.executable, "-m", "celery", "-A", "tests.acceptance.market", *args]
        log = self.stack.folder / f"{args[0]}.log"
        env = {**self.stack.env, **self._env}
        return Program(command, log=log, name=args[0], cwd=self.stack.folder, env=env)

    def task(self, name: str, *args: Any, **options: Any) -> Any:
        """A signature of one of its tasks."""
        return self.app.signature(f"market.{name}", args, **options)

    def stranger(self) -> Celery:
        """A program without Polos."""
        return Celery(
            "stranger", set_as_current=False, broker=self.stack.broker, backend=self.backend
        )

    def status(self, execution_id: str) -> str:
        """What the store says."""
        found = self.polos.bound.store.get(execution_id)
        return "" if found is None else found.status.value

    def wait_for(self, execution_id: str, status: str) -> None:
        """Wait until the store says so."""
        until(
            lambda: self.status(execution_id) == status,
            60,
            message=lambda: f"{execution_id} is {self.status(execution_id)}, not {status}",
        )

    def close(self) -> None:
        """Let go of it."""
        self.polos.close()
        registry.set_default_client(None)


@contextmanager
def open_market(stack: Stack, workers: Workers, backend: str = "") -> Iterator[Market]:
    """The project on a stack."""
    made = Market(stack, workers, backend)
    yield made
    made.close()
