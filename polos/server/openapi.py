"""The OpenAPI 3.1 document of the API, made of its operations and their models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from polos import __version__
from polos.client.wire import CODEC, ENCODING_HEADER, PROJECT_HEADER, REQUEST_HEADER
from polos.server import examples
from polos.server.answers import ProblemAnswer, ProgressAnswer
from polos.server.operation import JSON_TYPE, Operation, Shape
from polos.server.problems import PROBLEM_TYPE, title_of

_REFERENCES = "#/components/schemas/{model}"
_ABOUT = (
    "Starts durable workflows and shows what became of them. Errors are problem details (RFC "
    "9457) whose `code` is the class of the error, and whose `arguments` are what it was made of. "
    "Times are ISO 8601, in UTC."
)
_TAGS = {
    "executions": "Start executions, look at them, wait for them, steer them.",
    "workflows": "What can be started.",
    "server": "Whether the server is well.",
}
_REFUSALS = {
    400: "The body is no JSON.",
    401: "Nobody is named who may ask, or the key is none.",
    403: "Who asks may not do that.",
    404: "There is none of that id.",
    409: "It is in another state than that needs, or the id is taken.",
    413: "The body or a value in it is too large.",
    415: f"The body is not {JSON_TYPE}.",
    422: "Something in the request is not what it has to be.",
    500: "The server has an error of its own.",
    503: "The database is away, or its schema is not the right one; try again later.",
}
_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "string"},
    }
}
_SECURITY = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key, as 'polos keys' makes"},
    "basic": {"type": "http", "scheme": "basic", "description": "A user of Flower's basic_auth."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "user",
        "description": "Who has signed in to Flower.",
    },
}


def document(operations: Iterable[Operation], base: str) -> dict[str, Any]:
    """The document.

    Args:
        operations: what the API does.
        base: the path below which all of it is.
    """
    return {**_document(tuple(operations)), "servers": [{"url": base}]}


@cache
def _document(operations: tuple[Operation, ...]) -> dict[str, Any]:
    schemas = _Schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _of(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Polos", "version": __version__, "description": _ABOUT},
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {"schemas": schemas.definitions, "securitySchemes": _SECURITY},
    }


class _Schemas:
    """The models' JSON Schemas, each once, and references to them."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        sent: set[type[BaseModel]] = set()
        told: set[type[BaseModel]] = {ProblemAnswer, ProgressAnswer}
        for operation in operations:
            sent |= {it for it in (operation.body, operation.query) if it is not None}
            told |= {it.model for it in operation.answers.values() if it.model is not None}
        ordered: list[tuple[type[BaseModel], JsonSchemaMode]] = [
            *((it, "validation") for it in sorted(sent, key=_name)),
            *((it, "serialization") for it in sorted(told, key=_name)),
        ]
        found, rest = models_json_schema(ordered, ref_template=_REFERENCES)
        self._found = {model: schema for (model, _), schema in found.items()}
        self.definitions: dict[str, Any] = rest.get("$defs", {})

    def of(self, model: type[BaseModel]) -> dict[str, Any]:
        """The reference to a model."""
        return self._found[model]

    def properties(self, model: type[BaseModel]) -> dict[str, Any]:
        """The schemas of a model's fields."""
        found: dict[str, Any] = self.definitions[_name(model)].get("properties", {})
        return found


def _name(model: type[BaseModel]) -> str:
    return model.__name__


def _of(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [*_parameters(operation, schemas)],
        "responses": _responses(operation, schemas),
        # Open to all, also where nobody has to say who they are.
        "security": [] if operation.is_open else [*({name: []} for name in _SECURITY), {}],
    }
    if operation.text:
        found["description"] = operation.text
    if operation.body is not None:
        found["requestBody"] = _body(operation, operation.body, schemas)
    return found


def _parameters(operation: Operation, schemas: _Schemas) -> Iterator[dict[str, Any]]:
    for name in names_of(operation.path):
        yield _parameter("path", name, _PATH[name], f"The {name.removesuffix('_id')}'s id.")
    if operation.query is not None:
        for name, schema in schemas.properties(operation.query).items():
            text = schema.get("description", "")
            yield _parameter("query", name, _without_null(schema), text)
    if not operation.is_open:
        for name in (PROJECT_HEADER, *_headers_of(operation)):
            yield _parameter("header", name, *_HEADERS[name])


def _headers_of(operation: Operation) -> Iterator[str]:
    if operation.changes:
        yield REQUEST_HEADER
    if any("encoded" in it.model.model_fields for it in operation.answers.values() if it.model):
        yield ENCODING_HEADER
    if any(it.media_type != JSON_TYPE for it in operation.answers.values()):
        yield _LAST_EVENT


def names_of(path: str) -> tuple[str, ...]:
    """The names in a path, in their order."""
    return tuple(re.findall(r"{(\w+)}", path))


_ID = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\x00]*$"}
_PATH = {
    "execution_id": _ID,
    "workflow_id": {**_ID, "maxLength": 200, "pattern": "^[A-Za-z0-9_.-]+$"},
}
_LAST_EVENT = "Last-Event-ID"
_HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    PROJECT_HEADER: (
        {"type": "string", "maxLength": 255, "pattern": "^([ -$&-~]|%[2-7][0-9A-Fa-f])*$"},
        "The project, where the caller may see several; percent-encoded as a part of a URL is.",
    ),
    REQUEST_HEADER: (
        {"type": "string", "example": "1"},
        "Has to be `1`, unless the request carries an API key: no other site can send it.",
    ),
    ENCODING_HEADER: (
        {"type": "string", "enum": [CODEC]},
        "Has the answer tell of executions as they are stored, too.",
    ),
    _LAST_EVENT: (
        {"type": "string"},
        "The id of the last event that was heard.",
    ),
}


def _parameter(place: str, name: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    found = {"name": name, "in": place, "required": place == "path", "schema": schema}
    return {**found, "description": text}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that may be left out; in a URL there is no null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key not in {"anyOf", "description"}}
    if rest.get("default", 0) is None:
        del rest["default"]
    return {**rest, **kinds[0]} if kinds else rest


def _body(operation: Operation, model: type[BaseModel], schemas: _Schemas) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schemas.of(model)}
    if operation.body_example is not None:
        content["example"] = operation.body_example
    needed = any(field.is_required() for field in model.model_fields.values())
    return {"required": needed, "content": {JSON_TYPE: content}}


def _responses(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    told = {str(status): _shape(it, schemas) for status, it in operation.answers.items()}
    refused = {str(status): _refusal(status, schemas) for status in _refusals(operation)}
    return dict(sorted((refused | told).items()))


def _refusals(operation: Operation) -> Iterator[int]:
    yield from (422, 500)
    if not operation.is_open:
        yield from (401, 403, 503)
    if operation.method == "POST":
        yield from (400, 413, 415)
    yield from operation.refusals


def _shape(shape: Shape, schemas: _Schemas) -> dict[str, Any]:
    found: dict[str, Any] = {"description": shape.text}
    if shape.headers:
        found["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in shape.headers.items()
        }
    if shape.model is not None or shape.example is not None:
        schema = {"type": "string"} if shape.model is None else schemas.of(shape.model)
        found["content"] = {shape.media_type: {"schema": schema, "example": shape.example}}
    return found


def _refusal(status: int, schemas: _Schemas) -> dict[str, Any]:
    text = _REFUSALS.get(status) or title_of(status)
    content: dict[str, Any] = {"schema": schemas.of(ProblemAnswer)}
    if status == 404:
        content["example"] = examples.PROBLEM
    found = {"description": text, "content": {PROBLEM_TYPE: content}}
    return found | ({"headers": _RETRY_AFTER} if status == 503 else {})
