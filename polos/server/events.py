"""The stream of an execution's progress, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from tornado.iostream import StreamClosedError

from polos.server.hub import Hub, State, Stream
from polos.server.operation import Answer, Call, Door
from polos.server.problems import unanswered

EVENT_STREAM = "text/event-stream"

# Seconds. Proxies close what is silent for half a minute.
HEARTBEAT = 15.0
_COMMENT = ": still here\n\n"

_FIRST_LOOK = 10.0
# Who takes nothing for so long is dropped.
_PATIENCE = 30.0
# Then whoever watches comes again, and is asked again who they are.
_LONGEST = 3600.0

_dump = json.JSONEncoder(separators=(",", ":")).encode


async def events(call: Call) -> Answer | None:
    """Tell of an execution until it has ended."""
    await call.ask(call.client.get, call.execution_id)
    seen = call.door.request.headers.get("Last-Event-ID")
    with call.served.part(Hub).stream(call.project_id, call.execution_id) as stream:
        state = await _first(stream)
        if state.is_last and state.token == seen:
            # All was told: whoever comes again by itself is to stop that.
            return Answer(None, 204)
        await _begin(call.door)
        if call.door.request.method != "HEAD":
            with suppress(TimeoutError):
                await asyncio.wait_for(_tell(call.door, stream, seen), _LONGEST)
    return None


async def _first(stream: Stream) -> State:
    try:
        async with asyncio.timeout(_FIRST_LOOK):
            while stream.state is None:
                await stream.changed.wait()
    except TimeoutError:
        raise unanswered() from None
    return stream.state


async def _begin(door: Door) -> None:
    door.set_header("Content-Type", EVENT_STREAM)
    # Asks nginx to pass on each event as it comes.
    door.set_header("X-Accel-Buffering", "no")
    await _send(door, "retry: 2000\n\n")


async def _tell(door: Door, stream: Stream, seen: str | None) -> None:
    clock = asyncio.get_running_loop().time
    asked_at = clock()
    while True:
        if clock() >= asked_at + HEARTBEAT:
            if not await door.is_admitted():
                return
            asked_at = clock()
        stream.changed.clear()
        state = stream.state
        if state is not None and state.token != seen:
            seen = state.token
            await _send(door, _event(state))
        if state is not None and state.is_last:
            return
        try:
            await asyncio.wait_for(stream.changed.wait(), HEARTBEAT)
        except TimeoutError:
            await _send(door, _COMMENT)


def _event(state: State) -> str:
    name = "end" if state.is_last else "progress"
    return f"id: {state.token}\nevent: {name}\ndata: {_dump(state.data)}\n\n"


async def _send(door: Door, text: str) -> None:
    door.write(text)
    try:
        await asyncio.wait_for(door.flush(), _PATIENCE)
    except (StreamClosedError, TimeoutError):
        door.drop()
        raise asyncio.CancelledError from None
