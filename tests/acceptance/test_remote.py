"""Clients of a server that is killed and started again, and workers that it does or doesn't see."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from polos import PolosClient
from polos.definition.registry import registry
from polos.store.schema import executions
from tests.acceptance import flows
from tests.acceptance.stacks import Stack, Workers
from tests.support.polos_server import PolosServer
from tests.support.processes import ROOT, Program, until

pytestmark = pytest.mark.timeout(240)

WAITERS = 200
GEVENT = Path(__file__).with_name("remote_greenlets.py")


@pytest.fixture
def server(stack: Stack) -> Iterator[PolosServer]:
    with PolosServer(stack.database, stack.broker, env=stack.env) as server:
        yield server


@pytest.fixture
def client(server: PolosServer) -> Iterator[PolosClient]:
    made = PolosClient(api_url=server.url)
    yield made
    made.close()
