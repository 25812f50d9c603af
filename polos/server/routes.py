"""Which request of the HTTP API is answered by what; below Flower's ``url_prefix``."""

from __future__ import annotations

import re
from typing import Any

from tornado.web import url

from polos.server.answers import DocumentAnswer
from polos.server.handler import ApiHandler
from polos.server.openapi import document, names_of
from polos.server.operation import Answer, Call, Operation, Shape
from polos.server.operations import OPERATIONS

BASE = "/api/polos"
_DOCUMENT = "/openapi.json"
_NAME = re.compile(r"{\w+}")


async def _openapi(call: Call) -> Answer:
    """The document of all operations."""
    return Answer(document(ALL, call.door.request.path.removesuffix(_DOCUMENT)))


ALL = (
    Operation(
        name="openapi",
        method="GET",
        path=_DOCUMENT,
        does=_openapi,
        summary="This document",
        tag="server",
        answers={200: Shape("The document.", DocumentAnswer)},
        is_open=True,
    ),
    *OPERATIONS,
)


def _routes() -> list[Any]:
    paths: dict[str, dict[str, Operation]] = {}
    for operation in ALL:
        paths.setdefault(operation.path, {})[operation.method] = operation
    # A longer path first: of two, that with a name in it would take the other's requests.
    ordered = sorted(paths.items(), key=lambda it: (len(names_of(it[0])), it[0]))
    known = [_route(path, operations) for path, operations in ordered]
    return [*known, url(BASE + r"(?:/.*)?", ApiHandler, {"operations": {}})]


def _route(path: str, operations: dict[str, Operation]) -> Any:
    given = {"operations": operations, "names": names_of(path)}
    name = "polos_api" + path.replace("{execution_id}", "execution").replace("/", "_")
    return url(BASE + _NAME.sub("([^/]+)", path), ApiHandler, given, name=name)


ROUTES: list[Any] = _routes()
