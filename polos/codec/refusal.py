"""How packing a value is broken off, and how the way to the culprit is put together."""

from __future__ import annotations

from polos.errors import CodecError, UnsupportedType

MAX_DEPTH = 200


class Refused(Exception):
    """Something inside the value can't be kept; each container that it passes adds its part."""

    def __init__(self, type_name: str) -> None:
        super().__init__(type_name)
        self.type_name = type_name
        self.parts: list[str] = []

    def inside(self, part: str) -> Refused:
        """The same refusal, seen from one container further out."""
        self.parts.append(part)
        return self

    def as_error(self) -> UnsupportedType:
        """The error for the user, with the way such as ``$.items[3]``."""
        return UnsupportedType(self.type_name, "$" + "".join(reversed(self.parts)))


def check_depth(depth: int) -> None:
    """Raise CodecError below the deepest permitted level, which a recursive value reaches."""
    if depth > MAX_DEPTH:
        raise CodecError(
            f"the value contains itself, or is nested more than {MAX_DEPTH} levels deep; "
            "neither can be kept"
        )


def name_of(cls: type) -> str:
    """A type's qualified name, without the module for builtins."""
    if cls.__module__ == "builtins":
        return cls.__qualname__
    return f"{cls.__module__}.{cls.__qualname__}"


def key_part(key: str) -> str:
    """The part of the way that a key adds: ``.name``, or ``["some key"]``."""
    return f".{key}" if key.isidentifier() else f"[{key!r}]"
