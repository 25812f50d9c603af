"""Names of classes in kept values, and the classes that the names stand for.

A name is ``module:qualname``; a generic model such as ``Box[int]`` is a list, its own name before
those of its arguments. A name never causes an import: the class must be among those that an
annotation speaks of, or be found in a module that is imported already.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache, reduce
from operator import or_
from typing import Any, get_args, get_origin
from uuid import UUID

from polos.codec.hints import is_dataclass, is_enum, is_model, is_union, types_in
from polos.errors import CodecError, UnknownType

_MAIN = frozenset({"__main__", "__mp_main__"})
_CONTAINERS = (list, dict, tuple, set, frozenset)
_SIMPLE = (bool, int, float, str, bytes, date, datetime, time, timedelta, Decimal, UUID)
_ARGUMENTS: dict[str, Any] = {
    **{cls.__name__: cls for cls in (*_CONTAINERS, *_SIMPLE)},
    "Any": Any,
    "None": None,
    "...": ...,
}
_NAMES = {id(argument): name for name, argument in _ARGUMENTS.items()}

Kind = Callable[[Any], bool]


def full_name(cls: type) -> str:
    """``module:qualname``."""
    return f"{cls.__module__}:{cls.__qualname__}"


@lru_cache(maxsize=1024)
def reference(cls: type) -> Any:
    """What is written for a class: its name, or a list for a generic model with its arguments."""
    generic = getattr(cls, "__pydantic_generic_metadata__", None)
    if not generic or not generic["origin"]:
        return full_name(cls)
    try:
        return [full_name(generic["origin"]), *map(_argument, generic["args"])]
    except KeyError:  # an argument that has no name; only an annotation can give the class back
        return full_name(cls)


def _argument(annotation: Any) -> Any:
    """The name of a generic's argument; raises KeyError where there is none."""
    if annotation is type(None):
        return "None"
    if is_union(annotation):
        return ["|", *map(_argument, get_args(annotation))]
    if get_origin(annotation) in _CONTAINERS:
        return [_NAMES[id(get_origin(annotation))], *map(_argument, get_args(annotation))]
    if is_model(annotation) or is_dataclass(annotation) or is_enum(annotation):
        return reference(annotation)
    return _NAMES[id(annotation)]


def spell(name: Any) -> str:
    """A reference as people write it, such as ``shop:Box[int]``."""
    if not isinstance(name, list) or not name:
        return str(name)
    arguments = [spell(part) for part in name[1:]]
    return " | ".join(arguments) if name[0] == "|" else f"{name[0]}[{', '.join(arguments)}]"


class Types:
    """The classes that names may stand for.

    Args:
        hint: the annotation, or tuple of annotations, whose classes come first.
    """

    def __init__(self, hint: Any) -> None:
        classes = types_in(hint)
        self._hinted = {full_name(cls): cls for cls in classes}
        self._qualnames: dict[str, list[type]] = {}
        for cls in classes:
            self._qualnames.setdefault(cls.__qualname__, []).append(cls)

    def find(self, name: Any, kind: Kind) -> Any:
        """The class of a reference.

        Args:
            name: what ``reference`` gave.
            kind: what the class must be.

        Raises:
            UnknownType: there is no such class here.
        """
        if isinstance(name, list):
            return self._generic(name)
        if not isinstance(name, str):
            raise CodecError("the value is damaged: the name of a type is not text")
        for look_up in (self._hinted.get, self._of_same_file, _imported):
            found = look_up(name)
            if found is not None and kind(found):
                return found
        raise UnknownType(name)

    def _generic(self, name: list[Any]) -> Any:
        try:
            origin = self.find(name[0], is_model)
            return origin[tuple(self._resolve(part) for part in name[1:])]
        except (TypeError, LookupError):  # it is no longer generic, or takes other arguments
            raise UnknownType(spell(name)) from None

    def _resolve(self, part: Any) -> Any:
        if isinstance(part, str) and ":" not in part:
            return _ARGUMENTS[part]
        if isinstance(part, list) and part and part[0] == "|":
            return reduce(or_, map(self._resolve, part[1:]))
        if isinstance(part, list) and part and part[0] in _ARGUMENTS:
            return _ARGUMENTS[part[0]][tuple(map(self._resolve, part[1:]))]
        return self.find(part, lambda cls: is_model(cls) or is_dataclass(cls) or is_enum(cls))

    def _of_same_file(self, name: str) -> type | None:
        """The class of a file that is loaded under two names, as a program or by another path."""
        module, _, qualname = name.partition(":")
        found = self._qualnames.get(qualname, [])
        if module not in _MAIN:
            last = module.rpartition(".")[2]
            alike = {*_MAIN, last}
            found = [cls for cls in found if cls.__module__.rpartition(".")[2] in alike]
        return found[0] if len(found) == 1 else None


def _imported(name: str) -> Any:
    module, _, qualname = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        # vars() and not getattr(), because a module's own __getattr__ may import.
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    return found


_NO_HINT = Types(Any)


def types_of(hint: Any) -> Types:
    """The classes for an annotation, cached where it can be hashed."""
    if hint is Any or hint is None:
        return _NO_HINT
    try:
        return _cached_types(hint)
    except TypeError:
        return Types(hint)


_cached_types = lru_cache(maxsize=1024)(Types)
