"""Which page is where; below Flower's ``url_prefix`` where it has one."""

from __future__ import annotations

from typing import Any

from tornado.web import url

from polos.flower.execution.page import ExecutionPage, ValuePage
from polos.flower.list_page import ListPage

PAGES: list[Any] = [
    url(r"/workflows", ListPage, name="polos_workflows"),
    url(r"/workflows/execution/(.+)/value", ValuePage, name="polos_value"),
    url(r"/workflows/execution/(.+)", ExecutionPage, name="polos_execution"),
]
