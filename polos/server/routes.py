"""Which request of the HTTP API is answered by what; below Flower's ``url_prefix``."""

from __future__ import annotations

from typing import Any

ROUTES: list[Any] = []
