"""What the tests of the API have at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from polos import Polos
from tests.support.api_server import ApiServer


@dataclass(frozen=True)
class Api:
    """A server, the client of its store, and a client of its API."""

    server: ApiServer
    polos: Polos
    http: httpx.Client

    def start(self, workflow_id: str, payload: Any = None, **more: Any) -> dict[str, Any]:
        """Start a workflow through the API."""
        body = {"payload": payload, **more}
        answer = self.http.post(f"/workflows/{workflow_id}/executions", json=body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ended(self, execution_id: str) -> dict[str, Any]:
        """An execution when it has ended."""
        answer = self.http.get(f"/executions/{execution_id}/result", params={"timeout": 30})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found
