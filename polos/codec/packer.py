"""What the parts of the codec that know classes need of the one that walks through values."""

from __future__ import annotations

from typing import Any, Protocol


class Pack(Protocol):
    """Makes plain JSON data of values."""

    def pack(self, value: Any, depth: int) -> Any:
        """The value as JSON data, tagged where JSON has no such type; raises Refused."""

    def attributes(
        self, cls: type, state: dict[str, Any], depth: int
    ) -> tuple[Any, dict[str, list[str]]]:
        """An object's attributes as JSON data, and those that only a field's serializer takes."""
        ...
