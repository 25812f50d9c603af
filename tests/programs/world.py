"""A world for one program: workers that die at drawn points, and messages that are lost.

The real runner and the real store; one thread, so that a run can be repeated. A worker's death is
an exception that no code may catch for long: afterwards each call of its store raises it again,
and no step's function begins.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from polos.definition.registry import Registry
from polos.engine.keeper import Keeper
from polos.engine.loop import abandon_thread_loop, thread_loop
from polos.engine.owner import this_process
from polos.engine.runner import Runner
from polos.engine.sweeper import Sweeper
from polos.errors import StoreUnavailable
from polos.model.records import Execution, ExecutionId, Hint, NewExecution
from polos.model.settings import Settings
from polos.store.sql_store import SqlStore
from tests.programs import interpreter
from tests.programs.fate import CALM, Fate
from tests.programs.interpreter import plain_program_workflow, program_workflow
from tests.programs.ledger import Call, Ledger
from tests.programs.syntax import Node, to_data


class Death(BaseException):
    """The process of a worker ends."""


class Stuck(AssertionError):
    """Nothing happens any more, and the program has not ended."""


@dataclass
class Hop:
    """One delivery: a process of its own, as far as the store can tell.

    Attributes:
        lost: whether it died, or lost its lease.
        calls: the step functions that it called, in order.
    """

    number: int
    execution_id: str
    dead: bool = False
    lost: bool = False
    keeper: Keeper | None = None
    calls: list[Call] = field(default_factory=list)


class WatchedStore:
    """The real store; before and after each call something may happen to the worker."""

    def __init__(self, store: SqlStore, world: World, hop: Hop) -> None:
        self._store = store
        self._world = world
        self._hop = hop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._watched(name, found) if callable(found) else found

    def _watched(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._world.point(f"before {name}")
            found = function(*args, **kwargs)
            self._world.ledger.committed(self._hop.calls, name, args)
            self._world.point(f"after {name}")
            return found

        return call


class Messages:
    """Stands in for the broker: loses, doubles and mixes up messages as drawn."""

    def __init__(self, fate: Fate) -> None:
        self.sent: list[tuple[float, Hint]] = []
        self._treatments = list(fate.messages)
        self._picks = list(fate.picks)

    def dispatch(self, hints: Sequence[Hint]) -> int:
        for hint in hints:
            treatment = self._treatments.pop(0) if self._treatments else 0
            copies = {0: 1, 1: 2, 2: 0}[treatment]
            self.sent += [(time.monotonic() + hint.countdown, hint)] * copies
        return len(hints)

    def is_away(self) -> bool:
        return False

    def take(self) -> Hint | None:
        """One of those that are due."""
        now = time.monotonic()
        due = [number for number, (at, _) in enumerate(self.sent) if at <= now]
        if not due:
            return None
        pick = self._picks.pop(0) if self._picks else 0
        return self.sent.pop(due[pick % len(due)])[1]


class World:
    """Runs one program in a project of its own, and writes down what happens.

    Args:
        settings: of the database; its project is replaced.
        store: an open store of it.
        fate: what goes wrong.
    """

    def __init__(self, settings: Settings, store: SqlStore, fate: Fate = CALM) -> None:
        project = uuid4().hex
        self.settings = replace(settings, project_id=project)
        self.store = SqlStore(
            store.database,
            project,
            early=settings.wait_threshold_seconds,
            horizon=settings.countdown_horizon,
        )
        self.root = ""
        self.ledger = Ledger(self.store)
        self.history: list[str] = []
        self.messages = Messages(fate)
        self.hops: list[Hop] = []
        self._troubles = list(fate.troubles)
        self._since = 0
        self._here = threading.local()
        self._registry = Registry()
        for workflow in (program_workflow, plain_program_workflow):
            self._registry.add(workflow)
        self._sweeper = Sweeper(
            lambda: self.store, self.messages, self.settings, lambda: _no_report()
        )

    # -- running ---------------------------------------------------------------------------

    def run(self, program: Node, *, plain: bool = False, deadline: float = 30.0) -> Execution:
        """Start a program and go on until nothing is left to do; what it came to."""
        workflow = plain_program_workflow if plain else program_workflow
        payload = {"program": to_data(program), "given": None}
        data = workflow.encode_payload(payload, self.settings.max_value_bytes)
        self.root = str(uuid4())
        new = NewExecution(ExecutionId(self.root), workflow.id, self.store.project_id, data)
        self.store.start(new)
        return self.go_on(deadline)

    def go_on(self, deadline: float = 30.0) -> Execution:
        """Deliver messages until nothing is left to do."""
        interpreter.watch(self)
        end = time.monotonic() + deadline
        while self.ledger.busy():
            if time.monotonic() > end:
                raise Stuck(f"not ended after {deadline:g} s: {self.ledger.executions()}")
            hint = self.messages.take()
            if hint is not None:
                self._deliver(hint)
            elif not self._sweep():
                time.sleep(0.001)
        found = self.ledger.executions()[self.root]
        if not found.status.ended:
            raise Stuck(f"it waits, and nothing wakes it: {found}")
        return found

    def calm_down(self) -> None:
        """Nothing goes wrong any more."""
        self._troubles.clear()

    def _sweep(self) -> bool:
        hints = self.store.wake_due(100)
        if not hints:
            # What the sweep's re-dispatch does, without its patience.
            known = {hint.execution_id for _, hint in self.messages.sent}
            hints = tuple(
                Hint(found.id, found.workflow_id)
                for found in self.ledger.executions().values()
                if found.status.value == "queued" and found.id not in known
            )
        self.messages.dispatch(hints)
        return bool(hints)

    def _deliver(self, hint: Hint, *, nested: bool = False) -> None:
        hop = Hop(len(self.hops) + 1, hint.execution_id)
        self.hops.append(hop)
        self._here.hop, self._here.nested = hop, nested
        watched: Any = WatchedStore(self.store, self, hop)
        hop.keeper = Keeper(watched, self.settings.lease_seconds, spawn=lambda _: None)
        runner = Runner(watched, self.messages, self._registry, self.settings, hop.keeper)
        # No process of this number began at this time: whoever looks sees that it is dead.
        owner = replace(this_process(), started=hop.number)
        try:
            came_to = runner.run(hint.execution_id, hint.workflow_id, owner)
            self._note(hop, type(came_to.outcome).__name__ if came_to.outcome else "nothing")
        except StoreUnavailable:
            self._note(hop, "gives up, the database being away")
            self.messages.dispatch(self._sweeper.reclaim_dead())
        except BaseException:  # a death; a task group hands it on in a group
            if not hop.dead:
                raise
            if thread_loop().tasks():
                abandon_thread_loop()
            self.messages.dispatch(self._sweeper.reclaim_dead())
        finally:
            self._here.hop = None
        self.ledger.look()

    def _note(self, hop: Hop, text: str) -> None:
        who = "the program" if hop.execution_id == self.root else hop.execution_id[:8]
        self.history.append(f"hop {hop.number} of {who}: {text}")

    # -- what the workflow and its steps tell ----------------------------------------------

    def called(self, execution_id: str, key: str, given: Any) -> None:
        """A step's function begins."""
        self.point("start of a step")
        hop: Hop = self._here.hop
        hop.calls.append(self.ledger.called(execution_id, key, given, hop))

    def attempts_recorded(self, execution_id: str, key: str) -> int:
        """How many failed attempts of a step are recorded."""
        return self.ledger.attempts_recorded(execution_id, key)

    def point(self, name: str) -> None:
        """A place at which something may happen to the worker that runs now."""
        hop: Hop | None = getattr(self._here, "hop", None)
        if hop is None:
            return
        if hop.dead:
            raise Death("(and is dead)")
        if self._here.nested or not self._troubles:
            return
        trouble = self._troubles[0]
        self._since += trouble.at in {"", name}
        if self._since <= trouble.after or trouble.at not in {"", name}:
            return
        if trouble.what == "away" and not name.startswith(("before", "after")):
            return  # it comes with the next call of the store
        self._troubles.pop(0)
        self._since = 0
        getattr(self, f"_{trouble.what}")(hop, name)

    # -- troubles --------------------------------------------------------------------------

    def _die(self, hop: Hop, name: str) -> None:
        hop.dead = hop.lost = True
        self._note(hop, f"dies {name}")
        raise Death(name)

    def _zombie(self, hop: Hop, name: str) -> None:
        self._note(hop, f"loses its lease {name}")
        hints = self._sweeper.reclaim_dead()
        hop.lost = hop.lost or bool(hints)
        self._aside(lambda: [self._deliver(hint, nested=True) for hint in hints])

    def _others(self, hop: Hop, name: str) -> None:
        def work() -> None:
            hint = self.messages.take()
            while hint is not None:
                self._deliver(hint, nested=True)
                hint = self.messages.take()

        self._note(hop, f"others work {name}")
        self._aside(work)

    def _beat(self, hop: Hop, name: str) -> None:
        assert hop.keeper is not None
        nested, self._here.nested = self._here.nested, True
        hop.keeper.heartbeat()
        self._here.nested = nested

    def _away(self, hop: Hop, name: str) -> None:
        self._note(hop, f"the database is away {name}")
        raise StoreUnavailable("the database", "it does not answer")

    def _cancel(self, hop: Hop, name: str) -> None:
        self._note(hop, f"is cancelled {name}")
        self.messages.dispatch(self.store.cancel(hop.execution_id)[1])

    def _aside(self, work: Callable[[], Any]) -> None:
        """Do something as another process would, while this one stands still."""
        raised: list[BaseException] = []

        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                raised.append(error)
            finally:
                thread_loop().loop.close()

        helper = threading.Thread(target=guarded)
        helper.start()
        helper.join()
        if raised:
            raise raised[0]


def _no_report() -> Any:
    raise AssertionError("nobody asks for reports here")


__all__ = ["Death", "Hop", "Stuck", "World"]
