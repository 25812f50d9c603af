"""What a workflow accepts as its payload, and how a bad one is refused."""

from __future__ import annotations

import contextlib
import inspect
import types
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from polos.definition.annotations import (
    LazyAnnotation,
    Unresolved,
    is_dict,
    is_model,
    payload_members,
)
from polos.errors import InvalidPayload

_SHOWN_ERRORS = 3
_MOST_FAULTS = 100


class PayloadRule:
    """The second parameter of a workflow's function.

    Args:
        workflow_id: for errors.
        function: the workflow's function.
        parameter: the parameter.
        local: names that are visible where the function was defined.

    Raises:
        TypeError: its annotation is there and is no payload's.
    """

    def __init__(
        self,
        workflow_id: str,
        function: Callable[..., Any],
        parameter: inspect.Parameter,
        local: Mapping[str, Any],
    ) -> None:
        self._workflow_id = workflow_id
        self._whose = f"the payload of workflow {workflow_id!r}"
        self._parameter = parameter
        if parameter.annotation is inspect.Parameter.empty:
            raise TypeError(
                f"the parameter {parameter.name!r} of workflow {workflow_id!r} has no annotation; "
                "annotate it with dict, a Pydantic model or a union of them"
            )
        self._lazy = LazyAnnotation(function, parameter.name, local)
        try:
            payload_members(self._lazy.get())
        except Unresolved:
            return  # defined later, maybe: asked again when it is needed
        except TypeError as error:
            raise TypeError(f"workflow {workflow_id!r}: {error}") from None

    @cached_property
    def annotation(self) -> Any:
        """The type that the payload is annotated with.

        Raises:
            TypeError: it names what isn't defined, or is no payload's type.
        """
        try:
            annotation = self._lazy.get()
            payload_members(annotation)
        except Unresolved as error:
            text = unresolved_text(self._workflow_id, self._parameter.name, error)
            raise TypeError(text) from None
        except TypeError as error:
            raise TypeError(f"workflow {self._workflow_id!r}: {error}") from None
        return annotation

    def fit(self, payload: Any) -> Any:
        """The payload as the workflow's function will get it.

        Raises:
            TypeError: it is no model, dict or None.
            InvalidPayload: it doesn't fit the annotation.
        """
        check_payload_type(payload, f"workflow {self._workflow_id!r}")
        if payload is None:
            return self._missing()
        if isinstance(payload, BaseModel) and self._wants_dict_of(payload):
            payload = payload.model_dump()
        return self._validated(payload)

    @cached_property
    def _members(self) -> tuple[Any, ...]:
        return payload_members(self.annotation)

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.annotation)

    def _missing(self) -> Any:
        if self._parameter.default is not inspect.Parameter.empty:
            return self._parameter.default
        if types.NoneType in self._members:
            return None
        if len(self._members) == 1 and is_model(self._members[0]):
            with contextlib.suppress(InvalidPayload):
                return self._validated({})  # all of the model's fields have defaults
        raise InvalidPayload(
            f"workflow {self._workflow_id!r} needs a payload, "
            f"{inspect.formatannotation(self.annotation)}; pass payload=…"
        )

    def _validated(self, payload: Any) -> Any:
        try:
            # By names as well: a model that has become plain data in a message has those.
            return self._adapter.validate_python(payload, by_alias=True, by_name=True)
        except ValidationError as error:
            raise InvalidPayload(faults_text(self._whose, error)) from error

    def _wants_dict_of(self, payload: BaseModel) -> bool:
        fits = any(is_model(member) and isinstance(payload, member) for member in self._members)
        return not fits and any(is_dict(member) for member in self._members)


def check_payload_type(payload: Any, whose: str) -> None:
    """Raise TypeError unless a payload is a Pydantic model, a dict or None."""
    if payload is not None and not isinstance(payload, BaseModel | dict):
        raise TypeError(
            f"the payload of {whose} is of type {type(payload).__name__}; "
            "pass a Pydantic model, a dict or None"
        )


def faults_text(what: str, error: ValidationError) -> str:
    """What is wrong with a payload, state or result: each field's fault, but not its value."""
    faults = [
        f"{'.'.join(str(part) for part in fault['loc']) or '(all of it)'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False)
    ]
    more = len(faults) - _SHOWN_ERRORS
    shown = "; ".join(faults[:_SHOWN_ERRORS]) + (f"; and {more} more" if more > 0 else "")
    return f"{what} doesn't fit: {shown}"


def faults_of(error: BaseException | None) -> list[dict[str, Any]]:
    """Where a payload doesn't fit, ``loc``, and why, ``msg``; empty where nobody can tell.

    Args:
        error: what refused it, raised from Pydantic's own error.
    """
    while error is not None and not isinstance(error, ValidationError):
        error = error.__cause__
    if error is None:
        return []
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    return [{"loc": list(fault["loc"]), "msg": fault["msg"]} for fault in faults[:_MOST_FAULTS]]


def unresolved_text(workflow_id: str, name: str, error: Exception) -> str:
    """What to do about an annotation that can't be evaluated."""
    what = "the result" if name == "return" else f"the parameter {name!r}"
    return (
        f"the annotation of {what} of workflow {workflow_id!r} can't be evaluated: {error}; "
        "define or import that name at the module's top level, outside of 'if TYPE_CHECKING'"
    )
