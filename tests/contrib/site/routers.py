"""A router that keeps Polos's tables out."""

from __future__ import annotations

from typing import Any


class NowherePolos:
    def allow_migrate(self, _alias: str, app_label: str, **_hints: Any) -> bool | None:
        return False if app_label == "polos" else None
