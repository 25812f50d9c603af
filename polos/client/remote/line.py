"""Requests to a Polos server, which are repeated where that can do no harm, and its answers."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from polos.client import wire
from polos.client.problems import error_of
from polos.client.remote.address import Address
from polos.client.remote.background import Background
from polos.errors import PolosError, ServerError, ServerUnavailable

# Seconds for which an answer is tried to be had.
PATIENCE = 15.0
# The same from a server that has never answered: it probably was not started.
FIRST_PATIENCE = 2.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
# Seconds in which an answer is expected.
_ANSWER = 30.0
_LATER = frozenset({429, 502, 503, 504})
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked.

    Attributes:
        path: the parts of the path below the API.
        body: of a POST, as JSON; made by who asks, for it may be large and the loop is for all.
        repeatable: whether it may be sent again when it is not known whether it was heard.
        patience: seconds after which nothing is tried again; None for what is usual.
        answer: seconds in which each answer is expected.
    """

    method: str
    path: tuple[str, ...]
    body: bytes | None = None
    query: Sequence[tuple[str, str]] = ()
    repeatable: bool = True
    patience: float | None = None
    answer: float = _ANSWER


def post(path: tuple[str, ...], body: Mapping[str, Any], **more: Any) -> Request:
    """A request that sends something."""
    return Request("POST", path, wire.dump(body), **more)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered.

    Attributes:
        status: the HTTP status, of those that mean success.
        data: the JSON.
        repeated: whether an earlier try may have been heard as well.
    """

    status: int
    data: Any
    repeated: bool


@dataclass(frozen=True, slots=True)
class _Failed:
    """A try without success.

    Attributes:
        unheard: whether it is certain that nothing was done.
        passing: whether it may be otherwise the next time.
        after: the seconds after which the server wants to be asked again.
    """

    error: PolosError
    unheard: bool = False
    passing: bool = False
    after: float = 0.0


class Line:
    """The way to one server, for one key and project.

    Args:
        background: the loop on which all of it happens.
        address: of the server.
        project_id: the project that is asked for; None for that of the key.
    """

    def __init__(self, background: Background, address: Address, project_id: str | None) -> None:
        self._background = background
        self.address = address
        self._headers = {"Accept": "application/json", "User-Agent": "polos-client"}
        self._headers |= {wire.ENCODING_HEADER: wire.CODEC, wire.REQUEST_HEADER: "1"}
        if project_id is not None:
            self._headers[wire.PROJECT_HEADER] = wire.project_text(project_id)
        if address.credentials is not None:
            self._headers["Authorization"] = address.credentials
        self._has_answered = False

    async def ask(self, request: Request) -> Answer:
        """Send a request, and again for a while where it failed and may be sent again.

        Raises:
            PolosError: what the server said, or that it can't be reached.
        """
        began, heard, tries = time.monotonic(), False, 0
        while True:
            found = await self._try(request)
            if isinstance(found, Answer):
                return Answer(found.status, found.data, repeated=heard)
            heard = heard or not found.unheard
            pause = max(_pause(tries), found.after)
            tries += 1
            may = found.passing and (request.repeatable or not heard)
            if not may or time.monotonic() + pause > began + self._patience(request):
                raise _told(found.error, uncertain=heard)
            await asyncio.sleep(pause)

    def _patience(self, request: Request) -> float:
        if request.patience is not None:
            return request.patience
        return PATIENCE if self._has_answered else FIRST_PATIENCE

    async def _try(self, request: Request) -> Answer | _Failed:
        try:
            response = await self._send(request)
        except httpx.HTTPError as error:
            unheard = isinstance(error, _UNSENT)
            self._has_answered = self._has_answered or not unheard
            told = ServerUnavailable(self.address.url, _reason(error), uncertain=not unheard)
            return _Failed(told, unheard, passing=isinstance(error, httpx.TransportError))
        self._has_answered = True
        return self._read(response)

    async def _send(self, request: Request) -> httpx.Response:
        """The answer to one try; given up only when something was sent.

        The pool would never again use, or close, a connection whose first request is given up
        between being connected and being sent.
        """
        sent = asyncio.get_running_loop().create_future()

        async def follow(event: str, _: Any) -> None:
            if event.endswith("send_request_headers.started") and not sent.done():
                sent.set_result(None)

        asked = asyncio.ensure_future(self._requested(request, follow))
        try:
            # Unlike others, this leaves it alone where somebody gives up.
            await asyncio.wait([asked])
        except asyncio.CancelledError:
            sent.add_done_callback(lambda _: asked.cancel())
            asked.add_done_callback(_forget)
            raise
        return asked.result()

    async def _requested(self, request: Request, follow: Callable[..., Any]) -> httpx.Response:
        typed = {} if request.body is None else {"Content-Type": "application/json"}
        return await self._background.http(self.address).request(
            request.method,
            self.address.to(*request.path),
            params=list(request.query) or None,
            headers=self._headers | typed,
            content=request.body,
            timeout=httpx.Timeout(request.answer, connect=min(5.0, request.answer)),
            extensions={"trace": follow},
        )

    def _read(self, response: httpx.Response) -> Answer | _Failed:
        status = response.status_code
        if response.is_success:
            try:
                return Answer(status, wire.load(response.content), repeated=False)
            except ValueError:
                return _Failed(ServerError(self.address.url, status, _foreign(response)))
        error = error_of(_problem(response), status, self.address.url)
        unheard = status == 429 or 400 <= status < 500
        return _Failed(error, unheard, status in _LATER, _retry_after(response.headers))


def _forget(asked: asyncio.Future[httpx.Response]) -> None:
    """Nobody wants to know what became of it."""
    if not asked.cancelled():
        asked.exception()


def _problem(response: httpx.Response) -> Mapping[str, Any]:
    if response.is_redirect:
        goal = response.headers.get("location", "")
        return {
            "detail": f"it sends to {goal!r}; if that is the server, set api_url to its address"
        }
    try:
        found = wire.load(response.content)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"detail": _foreign(response)}


def _foreign(response: httpx.Response) -> str:
    """What is said of an answer that is none of a Polos server."""
    kind = response.headers.get("content-type", "").partition(";")[0] or "nothing"
    return f"{response.reason_phrase or 'an answer'}, as {kind}, where JSON was expected"


def _reason(error: httpx.HTTPError) -> str:
    """What happened, in one line; never with headers in it."""
    kind = type(error).__name__
    text = str(error).strip().partition("\n")[0]
    return f"{kind}: {text}" if text else kind


def _told(error: PolosError, *, uncertain: bool) -> PolosError:
    if isinstance(error, ServerUnavailable) and error.uncertain != uncertain:
        return ServerUnavailable(error.url, error.reason, uncertain)
    return error


def _pause(tries: int) -> float:
    full = min(_SHORTEST_PAUSE * 2.0 ** min(tries, 16), _LONGEST_PAUSE)
    return full * (0.5 + random.random() / 2)


def _retry_after(headers: Mapping[str, str]) -> float:
    """The seconds of the header ``Retry-After``, which may be a number or a date."""
    text = headers.get("retry-after", "")
    try:
        return max(0.0, float(text)) if text else 0.0
    except ValueError:
        pass
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    aware = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
