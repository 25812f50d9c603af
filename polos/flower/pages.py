"""Which page is where; below Flower's ``url_prefix`` where it has one."""

from __future__ import annotations

from typing import Any

from tornado.web import url

from polos.flower.execution.page import ExecutionPage, ValuePage
from polos.flower.list_page import ListPage
from polos.flower.overview_page import OverviewPage
from polos.flower.start_pages import StartListPage, StartPage

PAGES: list[Any] = [
    url(r"/workflows", ListPage, name="polos_workflows"),
    url(r"/workflows/overview", OverviewPage, name="polos_overview"),
    url(r"/workflows/execution/(.+)/value", ValuePage, name="polos_value"),
    url(r"/workflows/execution/(.+)", ExecutionPage, name="polos_execution"),
    url(r"/workflows/start", StartListPage, name="polos_start"),
    url(r"/workflows/start/([A-Za-z0-9_.-]+)", StartPage, name="polos_start_workflow"),
]
