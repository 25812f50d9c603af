"""Which page is where; below Flower's ``url_prefix`` where it has one."""

from __future__ import annotations

from typing import Any

from tornado.web import url

from polos.flower.list_page import ListPage
from polos.flower.overview_page import OverviewPage

PAGES: list[Any] = [
    url(r"/workflows", ListPage, name="polos_workflows"),
    url(r"/workflows/overview", OverviewPage, name="polos_overview"),
]
