"""The OpenAPI document."""

from __future__ import annotations

import re
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from polos.server.openapi import document
from polos.server.operation import Operation
from polos.server.routes import ALL, BASE, ROUTES
from tests.server.api import Api

DOCUMENT = document(ALL, BASE)


def test_it_is_served_below_the_prefix(lite: Api) -> None:
    served = lite.http.get("/openapi.json").json()
    assert served == DOCUMENT
    assert served["servers"] == [{"url": "/api/polos"}]


def test_it_is_a_valid_openapi_document() -> None:
    OPENAPI_31_VALIDATOR.validate(DOCUMENT)
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def test_it_has_every_route() -> None:
    listed = {(path, method.upper()) for path, item in DOCUMENT["paths"].items() for method in item}
    routed = {
        (re.sub(r"\(\[\^/\]\+\)", "{}", route.regex.pattern), method)
        for route in ROUTES
        for method in route.kwargs["operations"]
    }
    assert routed == {(f"{BASE}{re.sub('{.*?}', '{}', path)}$", it) for path, it in listed}
    assert len(listed) == len(ALL) >= 16


@pytest.mark.parametrize("operation", ALL, ids=lambda it: it.name)
def test_all_is_described(operation: Operation) -> None:
    told: dict[str, Any] = DOCUMENT["paths"][operation.path][operation.method.lower()]
    assert told["summary"]
    assert all(parameter["description"] for parameter in told["parameters"])
    assert all(answer["description"] for answer in told["responses"].values())
    assert "500" in told["responses"]
    assert operation.is_open or {"401", "403", "503"} <= told["responses"].keys()
    if operation.method == "POST":
        assert {"400", "413", "415", "422"} <= told["responses"].keys()


def _examples() -> list[Any]:
    found = []
    for path, item in DOCUMENT["paths"].items():
        for method, told in item.items():
            contents = {
                "body": told.get("requestBody", {}).get("content", {}),
                **{status: it.get("content", {}) for status, it in told["responses"].items()},
            }
            for place, content in contents.items():
                for kind, it in content.items():
                    if it.get("example") is not None:
                        name = f"{method} {path} {place} {kind}"
                        found.append(pytest.param(it["schema"], it["example"], id=name))
    return found


@pytest.mark.parametrize(("schema", "example"), _examples())
def test_the_examples_are_right(schema: dict[str, Any], example: Any) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(example)


def test_every_body_and_answer_has_an_example() -> None:
    assert len(_examples()) >= 2 * len(ALL) - 4
