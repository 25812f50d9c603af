"""Texts of other people, made harmless for a terminal and a page."""

from __future__ import annotations


def inert(text: str) -> str:
    """A text with nothing in it that moves a cursor or turns the direction of what follows.

    Escape sequences, other control characters, and those that turn the direction of what follows
    are shown by their codes in hexadecimal.
    """
    return "".join(c if c in "\n\t" or _is_harmless(c) else _spelled(c) for c in text)


def _is_harmless(character: str) -> bool:
    # A space in another guise, a joiner of emoji: not printable to Python, yet no danger.
    return character.isprintable() or character in "\u00a0\u200d\u3000"


def _spelled(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: str) -> str:
    """The same on one line: whatever ends a line becomes a blank, and so do tabs."""
    return inert(" ".join(text.split()))
