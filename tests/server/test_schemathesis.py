"""What Schemathesis makes of the document is answered as the document says, and never by a 5xx."""

from __future__ import annotations

import ast
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS

from polos import Polos
from polos.server.openapi import document
from polos.server.routes import ALL, BASE
from tests.server import flows
from tests.server.api import Api
from tests.support.api_server import ApiServer

schema = schemathesis.openapi.from_dict(document(ALL, BASE))

# A schema can't say what a workflow's payload, the codec's text or a cursor is.
_MAY_REFUSE = {"start", "start_many", "fork", "list_executions"}
_positive = CHECKS.get_one("positive_data_acceptance")


@pytest.fixture(scope="module", params=["", "flows/ui"], ids=["bare", "prefixed"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server, with and without a prefix."""
    folder = tmp_path_factory.mktemp("api")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POLOS_AUTO_MIGRATE", "1")
        polos = Polos(database_url=f"sqlite:///{folder}/polos.db", workflows=flows.ALL)
        app = polos.bound.app
        with polos, ApiServer(app, url_prefix=request.param) as server, server.client() as http:
            yield Api(server, polos, http)


@pytest.fixture(autouse=True)
def one_parser_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11 counts the depth of what it parses for all threads together.

    Hypothesis parses, and so does a traceback of the worker; both at a time are a SystemError.
    """
    lock, parse = threading.RLock(), ast.parse

    def locked(*args: Any, **options: Any) -> Any:
        with lock:
            return parse(*args, **options)

    monkeypatch.setattr(ast, "parse", locked)


@pytest.fixture(scope="module")
def ended(api: Api) -> str:
    """An execution that has failed."""
    id_: str = api.start("api_fails")["id"]
    api.ended(id_)
    return id_


@schema.parametrize()
@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_the_api_answers_as_its_document_says(case: Case, api: Api, ended: str) -> None:
    operation = case.operation.definition.raw["operationId"]
    _hurry(case.body, waits=operation == "wait")
    _hurry(case.query, waits=operation == "get_result")
    if case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE:
        _make_known(case, ended)
    case.call_and_validate(
        base_url=api.server.base,
        headers={"Polos-Request": "1"},
        timeout=30,
        excluded_checks=[_positive] if operation in _MAY_REFUSE else [],
    )


def _hurry(sent: Any, *, waits: bool) -> None:
    """Long waits are tried elsewhere, and what is known is to stay."""
    if isinstance(sent, dict):
        if waits:
            sent.setdefault("timeout", 0.01)
        for name, most, instead in (("timeout", 60, 0.01), ("older_than_days", 36_500, 30_000)):
            if _is_number(sent.get(name), most):
                sent[name] = instead


def _is_number(value: Any, most: float) -> bool:
    try:
        return not isinstance(value, bool) and 0 <= float(value) <= most
    except (TypeError, ValueError):
        return False


def _make_known(case: Case, execution_id: str) -> None:
    """Ids that are made up are of nothing."""
    named = case.path_parameters or {}
    if "execution_id" in named and len(str(named["execution_id"])) % 2:
        named["execution_id"] = execution_id
        case.headers.pop("Polos-Project", None)
    if "workflow_id" in named and len(str(named["workflow_id"])) % 2:
        named["workflow_id"] = "api_anything"
