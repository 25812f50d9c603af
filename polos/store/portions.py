"""What goes together into one statement, or into one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def portions(
    items: Sequence[T], weigh: Callable[[T], int], most: int, most_bytes: float
) -> list[Sequence[T]]:
    """The items in their order, as many together as go; one that is too large goes alone.

    Args:
        items: what is to be written.
        weigh: gives the bytes of one.
        most: how many go together.
        most_bytes: how many bytes go together.
    """
    found: list[list[T]] = []
    size = 0
    for item in items:
        weight = weigh(item)
        if not found or len(found[-1]) == most or size + weight > most_bytes:
            found.append([])
            size = 0
        found[-1].append(item)
        size += weight
    return list(found)
