"""What one operation of the HTTP API is: the handler and the document are both made of this."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel
from tornado.httputil import HTTPServerRequest

from polos.client.direct import DirectClient
from polos.server.access import Caller
from polos.server.served import Served

JSON_TYPE = "application/json"

# Smaller answers fit into one packet anyway.
_WORTH_PACKING = 1400
# Seconds that a look into the database may take, its turn among others included.
PATIENCE = 60.0

T = TypeVar("T")

_dump = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Attributes:
        data: plain data for JSON; None sends no body.
        status: the HTTP status.
        headers: besides those that all answers have.
        media_type: of the body.
    """

    data: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = JSON_TYPE

    def body(self, *, packed: bool) -> tuple[bytes, Mapping[str, str]]:
        """The bytes, and the headers that speak of them.

        Args:
            packed: whether who asks can unpack gzip.
        """
        if self.data is None:
            return b"", self.headers
        # ASCII: a text may hold half of a surrogate pair.
        data = _dump(self.data).encode("ascii")
        headers = {"Content-Type": self.media_type, "Vary": "Accept-Encoding", **self.headers}
        if packed and len(data) >= _WORTH_PACKING:
            return gzip.compress(data, 4, mtime=0), {**headers, "Content-Encoding": "gzip"}
        return data, headers


class Door(Protocol):
    """The handler of a request, as operations know it."""

    request: HTTPServerRequest

    def address_of(self, execution_id: str) -> str:
        """The path of an execution."""
        ...

    def set_header(self, name: str, value: str) -> None:
        """Set a header of the answer."""
        ...

    def write(self, chunk: str) -> None:
        """Add to the body."""
        ...

    def flush(self) -> Awaitable[None]:
        """Send what was written; done when the system has taken it."""
        ...

    def drop(self) -> None:
        """Close the connection."""
        ...

    def is_admitted(self) -> Awaitable[bool]:
        """Whether who asked is still let in."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One request, checked.

    Attributes:
        served: what this process serves.
        caller: who asks.
        project_id: the project that the request is about.
        path: the parts of the path that have names.
        query: the parameters of the URL, an instance of the operation's ``query``.
        body: an instance of the operation's ``body``.
        wants_encoded: whether the answer is to have the records as they are, too.
        door: for what an answer can't say: streams, and the addresses of executions.
    """

    served: Served
    caller: Caller
    project_id: str
    path: Mapping[str, str]
    door: Door
    query: Any = None
    body: Any = None
    wants_encoded: bool = False

    @property
    def client(self) -> DirectClient:
        """Who starts executions of the project, and reads them."""
        return self.served.client(self.project_id)

    @property
    def execution_id(self) -> str:
        """The execution that the path names."""
        return self.path["execution_id"]

    async def ask(self, work: Callable[..., T], *args: Any) -> T:
        """Run what looks into the database in a thread.

        Raises:
            TimeoutError: it gives no answer.
        """
        return await asyncio.wait_for(self.served.ask(work, *args), PATIENCE)

    def with_input(self, query: Any, body: Any) -> Call:
        """The same call, what was sent with it read."""
        return replace(self, query=query, body=body)


# A plain function is run in a thread, because it asks the database; None was answered already.
Does: TypeAlias = Callable[[Call], Answer] | Callable[[Call], Awaitable[Answer | None]]


@dataclass(frozen=True, slots=True)
class Shape:
    """An answer, as the document describes it.

    Attributes:
        text: when it is given.
        model: what its body is; None for no body.
        example: such a body.
        headers: names of its own headers, and what they say.
        media_type: of the body.
    """

    text: str
    model: type[BaseModel] | None = None
    example: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = JSON_TYPE


# Each is itself only: the routes and the document are made of them once.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operation:
    """One thing that the API does.

    Attributes:
        name: the operation's id in the document.
        method: ``GET`` or ``POST``.
        path: below ``/api/polos``, with ``{names}``.
        does: what answers it.
        summary: a line.
        text: more than a line.
        tag: the group that it belongs to.
        answers: by status.
        refusals: the other statuses that it can have, beside those that all have.
        query: the model of the URL's parameters.
        body: the model of the body.
        body_example: such a body.
        is_open: whether it is answered without asking who asks.
        changes: whether it changes anything.
        most_values: how many of the largest values that may be kept the body has room for. They
            are texts inside of JSON, which takes up to twice their size.
    """

    name: str
    method: str
    path: str
    does: Does
    summary: str
    text: str = ""
    tag: str = "executions"
    answers: Mapping[int, Shape] = field(default_factory=dict)
    refusals: tuple[int, ...] = ()
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    body_example: Any = None
    is_open: bool = False
    changes: bool = False
    most_values: int = 2
