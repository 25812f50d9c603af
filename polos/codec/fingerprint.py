"""Whether a model's class is still what it was when a value of it was kept."""

from __future__ import annotations

import dataclasses
import re
from functools import lru_cache
from hashlib import sha256
from typing import Any

from polos.codec.hints import is_enum, is_model, types_in

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
# The same class is __main__.Order in the program that is run, and shop.Order elsewhere.
_MODULE = re.compile(r"\b(?:[A-Za-z_]\w*\.)+")


@lru_cache(maxsize=1024)
def fingerprint(cls: type) -> str:
    """A short text that changes with the fields of a class and of those that it speaks of."""
    parts = sorted(_describe(part) for part in types_in(cls))
    text = _MODULE.sub("", _ADDRESS.sub("", "\n".join(parts)))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _describe(cls: Any) -> str:
    if is_model(cls):
        return f"{cls.__qualname__} {_validators(cls)} {_fields(cls)}"
    if is_enum(cls):
        return f"{cls.__qualname__} {[(m.name, m.value) for m in cls]}"
    return f"{cls.__qualname__} {[(f.name, f.type) for f in dataclasses.fields(cls)]}"


def _fields(cls: Any) -> list[tuple[Any, ...]]:
    return [
        (name, f.annotation, f.alias, f.validation_alias, f.metadata)
        for name, f in cls.model_fields.items()
    ]


def _validators(cls: Any) -> list[str]:
    found = cls.__pydantic_decorators__
    return sorted([*found.validators, *found.field_validators, *found.model_validators])
