"""The door of the API: reads a request, asks who sends it, and sends what its operation answers."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

from flower.views import BaseHandler
from tornado.web import HTTPError, stream_request_body

from polos.client.wire import CODEC, ENCODING_HEADER, PROJECT_HEADER, project_of
from polos.definition.names import check_text
from polos.errors import ExecutionNotFound, PolosError, StoreUnavailable, WorkflowNotFound
from polos.server.access import Caller, Refused, caller_of, check_change
from polos.server.operation import JSON_TYPE, Answer, Call, Operation
from polos.server.problems import (
    PROBLEM_TYPE,
    Problem,
    RequestError,
    problem_of,
    title_of,
    unanswered,
)
from polos.server.reading import invalid, read_body, read_query
from polos.server.requests import Nothing
from polos.server.served import Served, served_of
from polos.store.migrate import ensure_schema

T = TypeVar("T")

log = logging.getLogger("polos.server")

_IN_HEADER = re.compile(r"(?:[ -$&-~]|%[0-9A-Fa-f]{2})*")
# A body has room for so many bytes beside its values.
_MORE = 64 * 1024

_WRONG = (PolosError, Refused, RequestError)


@stream_request_body
class ApiHandler(BaseHandler):
    """Answers the requests of one path.

    Args:
        operations: what it does, by method.
        names: how the parts of the path are called.
    """

    served: Served
    caller: Caller

    def initialize(self, operations: Mapping[str, Operation], names: tuple[str, ...] = ()) -> None:
        """Take what the route gives."""
        self._operations = operations
        self._names = names
        self._body = bytearray()
        self._most = 0
        # What is wrong is told when the body has been read: else its sender may not hear of it.
        self._wrong: Exception | None = None
        self._waiting: asyncio.Future[Any] | None = None
        self._is_prepared = False

    def set_default_headers(self) -> None:
        """Flower's would let any site read an open API."""
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")

    def check_xsrf_cookie(self) -> None:
        """``check_change`` sees to it that no other site sends a change."""

    def compute_etag(self) -> None:
        """No answer is kept by anybody."""

    async def prepare(self) -> None:
        """Find out who asks, and whether they may."""
        self._is_prepared = True
        operation = self._operations.get(_as_get(self.request.method))
        if operation is None:
            return
        try:
            await self._admit(operation)
        except _WRONG as error:
            self._wrong = error

    def data_received(self, chunk: bytes) -> None:
        """Keep a part of the body, up to what a body may have."""
        if self._wrong is None and len(self._body) + len(chunk) > self._most:
            self._wrong = self._too_large()
        if self._wrong is not None:
            self._body.clear()
        else:
            self._body += chunk

    async def get(self, *path: str) -> None:
        """Answer it."""
        await self._answer(path)

    async def head(self, *path: str) -> None:
        """Answer it; Tornado leaves the body away."""
        await self._answer(path)

    async def post(self, *path: str) -> None:
        """Answer it."""
        await self._answer(path)

    # No operation has these; an address that there is not is told of before a wrong method.
    put = patch = delete = post

    def options(self, *_path: str) -> None:
        """Say which methods there are."""
        if not self._operations:
            raise HTTPError(404)
        self.set_header("Allow", self._allowed())
        self.set_status(204)
        self.finish()

    def on_connection_close(self) -> None:
        """Nobody hears the answer any more: stop waiting for it."""
        if self._waiting is not None:
            self._waiting.cancel()

    async def attend(self, waiting: Awaitable[T]) -> T | None:
        """What somebody waits for; None where they have gone away meanwhile."""
        self._waiting = asyncio.ensure_future(waiting)
        try:
            return cast("T", await self._waiting)
        except asyncio.CancelledError:
            if not self.is_gone:
                raise
            return None
        finally:
            self._waiting = None

    @property
    def is_gone(self) -> bool:
        """Whether the connection is closed."""
        stream = getattr(self.request.connection, "stream", None)
        return stream is None or stream.closed()

    def drop(self) -> None:
        """Close the connection, whatever was not sent yet."""
        stream = getattr(self.request.connection, "stream", None)
        if stream is not None:
            stream.close()

    def address_of(self, execution_id: str) -> str:
        """The path of an execution, below Flower's prefix."""
        address: str = self.reverse_url("polos_api_executions_execution", execution_id)
        return address

    async def is_admitted(self) -> bool:
        """Whether who asked is still let in: their key may have been revoked meanwhile."""
        try:
            await caller_of(self, self.served)
        except Refused:
            return False
        except StoreUnavailable:
            log.debug("the key of a stream can't be looked up now")
        return True

    async def _admit(self, operation: Operation) -> None:
        served = served_of(self.capp)
        if served is None:
            raise RequestError(404, "this Celery app has no Polos", "NoPolos")
        self.served = served
        if not operation.is_open:
            self.caller = await caller_of(self, served)
            if operation.changes:
                check_change(self, self.caller)
        self._check_body(operation)

    def _check_body(self, operation: Operation) -> None:
        self._most = operation.most_values * self.served.settings.max_value_bytes + _MORE
        headers = self.request.headers
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        length = _length(headers.get("Content-Length", ""))
        has_body = length > 0 or "Transfer-Encoding" in headers
        if operation.method == "POST" and (kind or has_body) and kind != JSON_TYPE:
            raise RequestError(
                415, f"the body is {kind or 'of no type'}; send {JSON_TYPE}", "WrongContentType"
            )
        if length > self._most:
            raise self._too_large()

    def _too_large(self) -> RequestError:
        return RequestError(
            413,
            f"the body is over the limit of {self._most:,} bytes; keep large values elsewhere and "
            "send a reference, or raise polos_max_value_bytes on the server",
            "BodyTooLarge",
        )

    async def _answer(self, path: tuple[str, ...]) -> None:
        operation = self._operations.get(_as_get(self.request.method))
        if operation is None:
            raise HTTPError(405 if self._operations else 404)
        try:
            if self._wrong is not None:
                raise self._wrong
            sent = await self._done_or_known(operation, self._call(operation, path))
        except _WRONG as error:
            self._send_problem(problem_of(error))
            return
        if sent is not None:
            self._send(*sent)

    def _call(self, operation: Operation, path: tuple[str, ...]) -> Call:
        if operation.is_open:
            self.caller = Caller("")
        return Call(
            served=self.served,
            caller=self.caller,
            project_id=self._project_id(),
            path=dict(zip(self._names, map(_checked_part, self._names, path), strict=True)),
            door=self,
            wants_encoded=self._wants_encoded(),
        )

    def _wants_encoded(self) -> bool:
        asked = self.request.headers.get(ENCODING_HEADER)
        if asked not in (None, CODEC):
            raise invalid(f"{ENCODING_HEADER} is {asked!r}; send {CODEC!r}, or leave it out")
        wanted: bool = asked == CODEC
        if wanted and self.served.settings.redact and not self.caller.sees_masked:
            raise Refused(
                403,
                "here polos_redact masks values, and what is encoded can't be masked; a key of "
                "'polos keys create NAME' gives it to a program",
            )
        return wanted

    def _project_id(self) -> str:
        """The project that is asked for; a key opens its own only."""
        sent = self.request.headers.get(PROJECT_HEADER, "")
        try:
            if not _IN_HEADER.fullmatch(sent):
                raise ValueError("send it percent-encoded, as a part of a URL")
            asked = check_text(PROJECT_HEADER, project_of(sent))
        except ValueError as error:
            raise invalid(f"{PROJECT_HEADER}: {error}") from None
        return self.caller.project_id or asked or self.served.settings.project_id

    async def _done_or_known(self, operation: Operation, call: Call) -> _Sent | None:
        """What is to be sent; where that fails for no known reason, the schema may be the one."""
        try:
            return await self._done(operation, call)
        except _WRONG:
            raise
        except TimeoutError:
            raise unanswered() from None
        except Exception:
            await self.served.ask(self._check_schema)
            raise

    def _check_schema(self) -> None:
        ensure_schema(self.served.bound.store.database, migrate=False)

    async def _done(self, operation: Operation, call: Call) -> _Sent | None:
        """What is to be sent: made in a thread, because that asks the database."""
        if inspect.iscoroutinefunction(operation.does):
            call = await call.ask(self._with_input, operation, call)
            answer = await self.attend(operation.does(call))
            return None if answer is None else await call.ask(self._made, answer)
        does = cast("Callable[[Call], Answer]", operation.does)
        # A change is not given up: nobody could tell what has become of it.
        ask = self.served.ask if operation.changes else call.ask
        return await ask(lambda: self._made(does(self._with_input(operation, call))))

    def _with_input(self, operation: Operation, call: Call) -> Call:
        query = read_query(operation.query or Nothing, self.request.query_arguments)
        if operation.method != "POST":
            return call.with_input(query, None)
        return call.with_input(query, read_body(operation.body or Nothing, bytes(self._body)))

    def _made(self, answer: Answer) -> _Sent:
        packed = "gzip" in self.request.headers.get("Accept-Encoding", "")
        answer = replace(answer, data=self.served.shown_details(answer.data))
        return answer.status, *answer.body(packed=packed)

    def _send(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
        self.set_status(status)
        if not self._is_prepared:
            # Tornado closes it then, because the body was not read.
            self.set_header("Connection", "close")
        for name, value in headers.items():
            self.set_header(name, value)
        self.finish(data or None)

    def _send_problem(self, problem: Problem) -> None:
        answer = Answer(problem.to_dict(), problem.status, problem.headers, PROBLEM_TYPE)
        self._send(answer.status, *answer.body(packed=False))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say what is wrong, as the API does: for what Tornado finds, and for mistakes here."""
        error = kwargs.get("exc_info", (None, None))[1]
        status_code = status_code if self._operations else 404
        if isinstance(error, HTTPError) or error is None:
            detail, code = _CODES.get(status_code, (title_of(status_code), "HttpError"))
            headers = {"Allow": self._allowed()} if status_code == 405 else {}
            self._send_problem(Problem(status_code, detail, {"code": code}, headers))
        else:
            self._send_problem(problem_of(error))

    def _allowed(self) -> str:
        heads = ["HEAD"] if "GET" in self._operations else []
        return ", ".join([*self._operations, *heads, "OPTIONS"])


_Sent = tuple[int, bytes, Mapping[str, str]]
_CODES = {
    400: ("the request can't be read", "BadRequest"),
    404: ("there is nothing at this address; openapi.json lists what there is", "NotFound"),
    405: ("this address has no such method; the Allow header lists those it has", "WrongMethod"),
}


def _length(text: str) -> int:
    """The length of a body; 0 for what is no number, which Tornado then refuses by itself."""
    # Twice the same, put together with a comma, is allowed.
    first = text.partition(",")[0].strip()
    return int(first) if first.isascii() and first.isdigit() else 0


def _as_get(method: str | None) -> str:
    return "GET" if method == "HEAD" else method or ""


def _checked_part(name: str, value: str) -> str:
    """A part of the path; what no id can be is none."""
    try:
        return check_text(name, value, empty=False) or value
    except ValueError:
        found = WorkflowNotFound if name == "workflow_id" else ExecutionNotFound
        raise found(value[:300]) from None
