"""Looks at executions for all who watch them: one query for many, however many streams there are.

Nothing is looked at while nobody watches. A stream holds the newest state only, so one that is read
slowly skips states and fills no memory.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from polos.errors import PolosError
from polos.model.pulse import Current, Pulse
from polos.model.records import RETRIED, as_datetime
from polos.server.problems import RETRY_AFTER, RequestError
from polos.server.served import Served
from polos.store.pulses import current, pulses

log = logging.getLogger("polos.server")

MOST_STREAMS = 2000
# Seconds between two looks at one execution.
EVERY = 0.5
_BATCH = 500
# Besides the streams: connections to the database, the broker, and of other requests.
_OTHER_FILES = 1000
_GONE = "deleted"

Key: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class State:
    """How an execution stands, as it is told.

    Attributes:
        token: tells whether somebody has heard of this state.
        data: what is told of it.
        is_last: whether nothing follows: it has ended, or was deleted.
    """

    token: str
    data: dict[str, Any]
    is_last: bool


@dataclass(eq=False, slots=True)
class Stream:
    """One who watches an execution.

    Attributes:
        state: the newest; None before the first look.
        changed: set when there is another one.
    """

    state: State | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, state: State) -> None:
        """Take a state."""
        self.state = state
        self.changed.set()


class Hub:
    """Knows who watches what.

    Args:
        served: what the process serves.
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        self._streams: dict[Key, set[Stream]] = {}
        self._states: dict[Key, State] = {}
        self._open = 0
        self._nudge = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._trouble = False
        _allow_files(MOST_STREAMS + _OTHER_FILES)

    @property
    def open_streams(self) -> int:
        """How many there are."""
        return self._open

    @contextmanager
    def stream(self, project_id: str, execution_id: str) -> Iterator[Stream]:
        """Watch an execution while the block lasts.

        Raises:
            RequestError: there are too many streams.
        """
        if self._open >= MOST_STREAMS:
            raise RequestError(
                503,
                f"{MOST_STREAMS} streams are open, which is the most; poll the result instead",
                "TooManyStreams",
                {"Retry-After": str(RETRY_AFTER)},
            )
        key = (project_id, execution_id)
        stream = Stream(self._states.get(key))
        self._streams.setdefault(key, set()).add(stream)
        self._open += 1
        self._look_soon()
        try:
            yield stream
        finally:
            self._open -= 1
            self._streams[key].discard(stream)
            if not self._streams[key]:
                del self._streams[key]
                self._states.pop(key, None)

    def _look_soon(self) -> None:
        self._nudge.set()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_again_and_again())

    async def _look_again_and_again(self) -> None:
        clock = asyncio.get_running_loop().time
        next_at = clock()
        while self._streams:
            self._nudge.clear()
            if clock() >= next_at:
                await self._look(list(self._streams))
                next_at = clock() + EVERY
            else:
                await self._look([key for key in self._streams if key not in self._states])
            with suppress(TimeoutError):
                await asyncio.wait_for(self._nudge.wait(), max(0.0, next_at - clock()))

    async def _look(self, keys: Sequence[Key]) -> None:
        for project_id in {project_id for project_id, _ in keys}:
            ids = [id_ for project, id_ in keys if project == project_id]
            for start in range(0, len(ids), _BATCH):
                await self._look_at(project_id, ids[start : start + _BATCH])

    async def _look_at(self, project_id: str, ids: Sequence[str]) -> None:
        known = {id_: self._states.get((project_id, id_)) for id_ in ids}
        try:
            found = await self._served.ask(self._changes, project_id, known)
        except Exception as error:  # whatever it is, those who watch go on watching
            level = logging.DEBUG if self._trouble else logging.WARNING
            odd = None if isinstance(error, PolosError) else error
            log.log(level, "watching: %s", error, exc_info=odd)
            self._trouble = True
            return
        self._trouble = False
        for id_, state in found.items():
            streams = self._streams.get((project_id, id_), ())
            if streams:
                self._states[project_id, id_] = state
            for stream in streams:
                stream.tell(state)

    def _changes(self, project_id: str, known: dict[str, State | None]) -> dict[str, State]:
        """The new states of those that have changed; asks the database."""
        database = self._served.store(project_id).database
        found = pulses(database, project_id, list(known))
        changed = {
            id_: found.get(id_) for id_, state in known.items() if _is_new(found.get(id_), state)
        }
        at = current(database, {id_: pulse for id_, pulse in changed.items() if pulse})
        return {id_: _state(id_, pulse, at.get(id_, ())) for id_, pulse in changed.items()}


def _is_new(pulse: Pulse | None, state: State | None) -> bool:
    return state is None or state.token != (pulse.token if pulse else _GONE)


def _state(execution_id: str, pulse: Pulse | None, at: Sequence[Current]) -> State:
    if pulse is None:
        return State(_GONE, {"id": execution_id, "status": None}, is_last=True)
    return State(
        token=pulse.token,
        data={
            "id": execution_id,
            "status": pulse.status.value,
            "steps_done": pulse.done,
            "attempts": pulse.claims,
            "retried": pulse.retried,
            "cancel_requested": pulse.cancel_requested,
            "waiting_for": pulse.waits,
            "current": [_shown(it) for it in at],
        },
        is_last=pulse.status.ended,
    )


def _shown(item: Current) -> dict[str, Any]:
    return {
        "key": item.step_key,
        "status": _status(item),
        "kind": item.kind and item.kind.value,
        "attempts": item.attempts,
        "due_at": None if item.due_at is None else as_datetime(item.due_at).isoformat(),
    }


def _status(item: Current) -> str:
    if item.kind is None:
        return "executing"
    return "retrying" if item.kind in RETRIED else "waiting"


def _allow_files(number: int) -> None:
    """Have this process open as many files, as far as it may; many systems begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
