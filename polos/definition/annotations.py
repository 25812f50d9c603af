"""The annotations of a workflow's function, as types.

They may be texts (``from __future__ import annotations``) and name classes that are local to the
function around the workflow, or that are defined only after it.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

_EMPTY = inspect.Parameter.empty
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Unresolved(Exception):
    """An annotation names something that isn't defined, or not yet."""


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of a function, also where its annotations can't be evaluated yet."""
    if sys.version_info >= (3, 14):
        import annotationlib

        return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(function)


def payload_parameter(function: Callable[..., Any]) -> inspect.Parameter | None:
    """The second parameter of a workflow's function, if it has one.

    Raises:
        TypeError: it takes neither ``(ctx)`` nor ``(ctx, payload)``.
    """
    parameters = list(signature_of(function).parameters.values())
    if not 1 <= len(parameters) <= 2 or any(p.kind not in _POSITIONAL for p in parameters):
        raise TypeError(
            f"the workflow {function.__qualname__}{_shown(parameters)} takes other parameters than "
            "(ctx) or (ctx, payload); put what it needs into one payload, a dict or a model"
        )
    return parameters[1] if len(parameters) == 2 else None


class LazyAnnotation:
    """One annotation of a workflow's function, evaluated as soon as that is possible.

    Args:
        function: the function; the one below its decorators counts.
        name: the parameter's name; ``return`` is the result's.
        local: names that are visible where the function was defined; kept only while needed.
    """

    def __init__(self, function: Callable[..., Any], name: str, local: Mapping[str, Any]) -> None:
        self.name = name
        self._function = function
        self._local: Mapping[str, Any] | None = local
        self._type: Any = Any
        with contextlib.suppress(Unresolved):
            self.get()

    def get(self) -> Any:
        """The type; ``Any`` where there is no annotation.

        Raises:
            Unresolved: it names something that isn't defined, or not yet.
        """
        if self._local is not None:
            self._type = _evaluated(self._function, self.name, self._local)
            self._local = None
        return self._type


def _evaluated(function: Callable[..., Any], name: str, local: Mapping[str, Any]) -> Any:
    signature = signature_of(function)
    annotation = (
        signature.return_annotation if name == "return" else signature.parameters[name].annotation
    )
    if annotation is _EMPTY:
        return Any
    inner = inspect.unwrap(function)

    def holder() -> None: ...

    holder.__annotations__ = {name: annotation}
    try:
        hints = typing.get_type_hints(
            holder,
            globalns=getattr(inner, "__globals__", {}),
            localns={**local, **_closure(inner)},
            include_extras=True,
        )
    except (NameError, AttributeError) as error:
        raise Unresolved(str(error)) from error
    return hints[name]


def payload_members(annotation: Any) -> tuple[Any, ...]:
    """The types of which a payload may be one: ``dict``, Pydantic models and NoneType.

    Raises:
        TypeError: the annotation allows something else.
    """
    members = tuple(_flattened(annotation))
    wrong = [member for member in members if not _may_be_payload(member)]
    if wrong or all(member is types.NoneType for member in members):
        raise TypeError(
            f"its payload is annotated {inspect.formatannotation(annotation)}; annotate it with "
            "dict, a Pydantic model or a union of them"
        )
    return members


def is_model(member: Any) -> bool:
    """Whether a type is a Pydantic model."""
    return isinstance(member, type) and issubclass(member, BaseModel)


def is_dict(member: Any) -> bool:
    """Whether a type is ``dict``, with or without arguments."""
    return member is dict or get_origin(member) is dict


def _may_be_payload(member: Any) -> bool:
    return is_dict(member) or is_model(member) or member is types.NoneType


def _flattened(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _flattened(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [member for part in get_args(annotation) for member in _flattened(part)]
    if hasattr(annotation, "__value__"):
        return _flattened(annotation.__value__)
    return [types.NoneType if annotation is None else annotation]


def _closure(function: Callable[..., Any]) -> dict[str, Any]:
    code = getattr(function, "__code__", None)
    names = code.co_freevars if code is not None else ()
    found = {}
    for name, cell in zip(names, getattr(function, "__closure__", None) or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue  # assigned only later
    return found


def _shown(parameters: list[inspect.Parameter]) -> str:
    shown = [str(parameter.replace(annotation=_EMPTY)) for parameter in parameters]
    return f"({', '.join(shown)})"
