"""What a workflow's function declares: its id, payload, result and options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from polos import codec
from polos.codec.values import MAX_VALUE_BYTES
from polos.definition.annotations import LazyAnnotation, Unresolved, payload_parameter
from polos.definition.names import check_workflow_id
from polos.definition.options import WorkflowOptions, hooks_of
from polos.definition.payload import PayloadRule, check_payload_type, faults_text, unresolved_text
from polos.errors import InvalidPayload


class Declaration:
    """The part of a workflow that no one has to start to know.

    Args:
        function: the workflow's function.
        options: what ``@workflow`` was given.
        local: names that are visible where the function was defined.

    Raises:
        TypeError: the function can't be a workflow.
        ValueError: its name can't be an id, and no id was given.
    """

    def __init__(
        self, function: Callable[..., Any], options: WorkflowOptions, local: Mapping[str, Any]
    ) -> None:
        _check_function(function)
        self.function = function
        self.options = options
        self.id = options.id if options.id is not None else check_workflow_id(function.__name__)
        self.is_async = _any_layer(inspect.iscoroutinefunction, function)
        self.description = options.description or _first_line(function)
        self.celery_options = options.celery_options
        self.queue: str | None = options.queue or self.celery_options.get("queue")
        self.retries = options.retries
        self.timeout_seconds = options.timeout_seconds
        self.version = options.version
        self.trigger_on_event = options.trigger_on_event
        self.batch_size = options.batch_size
        self.batch_timeout_seconds = options.batch_timeout_seconds
        self.schedule = options.schedule
        self.on_start = hooks_of("on_start", options.on_start)
        self.on_end = hooks_of("on_end", options.on_end)
        self.state_schema = options.state_schema
        self._result = LazyAnnotation(function, "return", local)
        parameter = payload_parameter(function)
        self._rule = None if parameter is None else PayloadRule(self.id, function, parameter, local)

    @property
    def takes_payload(self) -> bool:
        """Whether the function has a second parameter."""
        return self._rule is not None

    @property
    def payload_type(self) -> Any:
        """The payload's annotation; NoneType for a workflow without one.

        Raises:
            TypeError: the annotation can't be evaluated.
        """
        return type(None) if self._rule is None else self._rule.annotation

    @property
    def result_type(self) -> Any:
        """The annotated return type; ``Any`` where there is none.

        Raises:
            TypeError: the annotation can't be evaluated.
        """
        try:
            return self._result.get()
        except Unresolved as error:
            raise TypeError(unresolved_text(self.id, "return", error)) from None

    @property
    def place(self) -> str:
        """Where the function is defined, for people: ``module.name (file:line)``."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        where = f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""
        return f"{self.function.__module__}.{self.function.__qualname__}{where}"

    def encode_payload(self, payload: Any, limit: int = MAX_VALUE_BYTES) -> bytes:
        """A payload, validated, as it is stored.

        Args:
            payload: a Pydantic model, a dict or None.
            limit: the most bytes it may take.

        Raises:
            TypeError: it is something else, or the workflow takes none.
            InvalidPayload: it doesn't fit the annotation; the text names the field.
            ValueTooLarge: it is over the limit.
        """
        # An annotation that can't be evaluated must not be found out when the work is done.
        _ = self.result_type
        if self._rule is None:
            check_payload_type(payload, f"workflow {self.id!r}")
            if payload is not None:
                raise TypeError(
                    f"workflow {self.id!r} takes no payload; give its function a second "
                    "parameter, or leave the payload out"
                )
            return codec.encode_payload(None, limit)
        return codec.encode_payload(self._rule.fit(payload), limit)

    def decode_payload(self, data: bytes) -> Any:
        """A stored payload, as the function gets it.

        Raises:
            InvalidPayload: it doesn't fit the annotation.
        """
        # As before a start: not when the work is done.
        _ = self.result_type
        missing = data == codec.encode_payload(None)
        if self._rule is None:
            if not missing:
                raise InvalidPayload(f"workflow {self.id!r} takes no payload, but was given one")
            return None
        if missing:
            return self._rule.fit(None)
        try:
            return codec.decode_payload(data, self._rule.annotation)
        except InvalidPayload as error:
            raise InvalidPayload(f"workflow {self.id!r}: {error}") from error

    def encode_state(self, state: Any, limit: int = MAX_VALUE_BYTES) -> bytes | None:
        """An initial state, validated, as it is stored; None for None.

        Raises:
            InvalidPayload: it doesn't fit ``state_schema``.
            UnsupportedType: it can't be kept.
            ValueTooLarge: it is over the limit.
        """
        if state is None:
            return None
        if self.state_schema is not None:
            try:
                state = self.state_schema.model_validate(state)
            except ValidationError as error:
                what = f"the initial_state of workflow {self.id!r}"
                raise InvalidPayload(faults_text(what, error)) from error
        return codec.encode(state, limit)

    def encode_result(self, value: Any, limit: int = MAX_VALUE_BYTES) -> bytes:
        """What the function returned, made an instance of the annotated type, as it is stored.

        Raises:
            TypeError: it doesn't fit the annotation, or (``UnsupportedType``) can't be kept.
            ValueTooLarge: it is over the limit.
        """
        try:
            fitting = codec.coerce(value, self.result_type)
        except ValidationError as error:
            what = f"the result of workflow {self.id!r}"
            raise TypeError(faults_text(what, error)) from error
        return codec.encode(fitting, limit)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id!r} of {self.function.__qualname__}>"


def _check_function(function: Any) -> None:
    if isinstance(function, str):
        raise TypeError(f"@workflow takes its id by name: @workflow(id={function!r})")
    if not inspect.isfunction(function):
        raise TypeError(
            f"@workflow decorates a function, not {type(function).__name__}; define the workflow "
            "with 'async def' or 'def'"
        )
    generates = (inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if any(_any_layer(check, function) for check in generates):
        raise TypeError(
            f"the workflow {function.__qualname__} is a generator function; return its result "
            "instead of yielding it"
        )


def _any_layer(check: Callable[[Any], bool], function: Callable[..., Any]) -> bool:
    return check(function) or check(inspect.unwrap(function))


def _first_line(function: Callable[..., Any]) -> str | None:
    documented = inspect.getdoc(function)
    return documented.strip().splitlines()[0] if documented and documented.strip() else None
