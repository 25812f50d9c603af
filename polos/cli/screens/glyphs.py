"""The characters that trees and bars are drawn with."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of them, each one cell wide but for the four of trees.

    Attributes:
        queued: part of a bar: nobody has taken it yet.
        working: part of a bar: something runs.
        failing: part of a bar: an attempt that failed.
        waiting: part of a bar: it waits, and holds no worker.
        open: the end of a bar that goes on.
        cut: in the place of what doesn't fit.
        dot: between words.
    """

    fork: str = "├─ "
    last: str = "└─ "
    pipe: str = "│  "
    none: str = "   "
    queued: str = "·"
    working: str = "█"
    failing: str = "▒"
    waiting: str = "─"
    open: str = "▶"
    cut: str = "…"
    dot: str = " · "

    def fit(self, text: str, cells: int) -> str:
        """A text in exactly so many cells, its end cut where it is longer."""
        if cell_len(text) <= cells:
            return set_cell_size(text, cells)
        return set_cell_size(text, max(0, cells - 1)) + self.cut[:cells]


UNICODE = Glyphs()
ASCII = Glyphs(
    fork="|- ",
    last="`- ",
    pipe="|  ",
    queued=".",
    working="#",
    failing="x",
    waiting="-",
    open=">",
    cut="~",
    dot=" - ",
)


def glyphs_of(console: Console) -> Glyphs:
    """What the console's encoding can show."""
    return UNICODE if console.encoding.lower().startswith("utf") else ASCII
