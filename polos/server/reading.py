"""What a request sends, checked against the models of its operation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar, get_origin

from pydantic import BaseModel, ValidationError

from polos.definition.payload import faults_of, faults_text
from polos.server.problems import RequestError

ModelT = TypeVar("ModelT", bound=BaseModel)


def refuse_constant(name: str) -> NoReturn:
    """JSON has no NaN and no Infinity."""
    raise ValueError(f"{name} is no JSON")


_decoder = json.JSONDecoder(parse_constant=refuse_constant)


def read_body(model: type[ModelT], data: bytes) -> ModelT:
    """The body of a request.

    Raises:
        RequestError: it is no JSON, or doesn't fit the model.
    """
    return _fitting(model, _json(data) if data else {}, "the body", strict=True)


def read_query(model: type[ModelT], arguments: Mapping[str, Sequence[bytes]]) -> ModelT:
    """The parameters of a URL.

    Raises:
        RequestError: one of them is unknown, given twice, or not what it has to be.
    """
    found: dict[str, Any] = {}
    for name, values in arguments.items():
        texts = [_text(name, value) for value in values]
        found[name] = texts if _is_repeatable(model, name) else _only(name, texts)
    return _fitting(model, found, "the query", strict=False)


def invalid(text: str) -> RequestError:
    """The error of a request that is read, but not what it has to be."""
    return RequestError(422, text, "InvalidRequest")


def _json(data: bytes) -> Any:
    try:
        return _decoder.decode(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RequestError(400, f"the body is no JSON: {why}", "BadJson") from None


def _fitting(model: type[ModelT], data: Any, what: str, *, strict: bool) -> ModelT:
    try:
        return model.model_validate(data, strict=strict)
    except ValidationError as error:
        text = faults_text(what, error)
        raise RequestError(422, text, "InvalidRequest", faults=faults_of(error)) from None


def _is_repeatable(model: type[BaseModel], name: str) -> bool:
    field = model.model_fields.get(name)
    return field is not None and get_origin(field.annotation) is list


def _only(name: str, texts: list[str]) -> str:
    if len(texts) != 1:
        raise invalid(f"the query has {name!r} {len(texts)} times; give it once")
    return texts[0]


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise invalid(f"{name!r} of the query is no UTF-8") from None
