"""Starts workflows, one or many."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar
from uuid import uuid4

from polos import codec
from polos.client.wire import encoded_of, start_request
from polos.definition.registry import AnyWorkflow, registry
from polos.errors import CodecError, InvalidPayload, UnsupportedType
from polos.model.ports import StartRequest
from polos.server.operation import Answer, Call
from polos.server.reading import invalid
from polos.server.requests import BatchBody, BatchStart, ForkBody, OneStart, StartBody
from polos.server.views import brief

T = TypeVar("T")


def start(call: Call) -> Answer:
    """Start one execution."""
    body: OneStart = call.body
    workflow_id = call.path["workflow_id"]
    if body.workflow_id not in (None, workflow_id):
        raise invalid(f"the body names the workflow {body.workflow_id!r}, the address another")
    execution, fresh = call.client.start_once(_request(call, workflow_id, body))
    return Answer(
        brief(execution, encoded=call.wants_encoded),
        201 if fresh else 200,
        {"Location": call.door.address_of(execution.id)},
    )


def start_many(call: Call) -> Answer:
    """Start many executions: all of them, or none."""
    body: BatchBody = call.body
    requests = [_batch_request(call, number, it) for number, it in enumerate(body.items)]
    started = call.client.start_many(requests)
    return Answer({"items": [brief(it, encoded=call.wants_encoded) for it in started]}, 201)


def fork(call: Call) -> Answer:
    """Start a copy of an execution."""
    body: ForkBody = call.body
    source, data = call.client.get(call.execution_id), None
    if body.payload is not None or body.encoded_payload is not None:
        data = _payload(call, registry.get(source.workflow_id), body)
    forked = call.client.fork(source.id, body.from_step, data, body.execution_id)
    return Answer(
        brief(forked, encoded=call.wants_encoded),
        201,
        {"Location": call.door.address_of(forked.id)},
    )


def _batch_request(call: Call, number: int, item: BatchStart) -> StartRequest:
    try:
        return _request(call, item.workflow_id, item)
    except InvalidPayload as error:
        raise InvalidPayload(f"input {number} of the batch: {error}") from error


def _request(call: Call, workflow_id: str, body: StartBody) -> StartRequest:
    """The start as the workflow declares it, where its code is here."""
    known = registry.get(workflow_id)
    given = {"execution_id": str(uuid4()), **body.model_dump(exclude_none=True)}
    given |= {"workflow_id": workflow_id}
    request = start_request(given, _payload(call, known, body), _state(call, known, body))
    if known is None:
        return request
    return replace(
        request,
        queue=request.queue or known.queue,
        priority=_first(request.priority, known.celery_options.get("priority")),
        run_timeout_seconds=_first(request.run_timeout_seconds, known.timeout_seconds),
    )


def _payload(call: Call, known: AnyWorkflow | None, body: StartBody | ForkBody) -> bytes:
    limit = call.served.settings.max_value_bytes
    if body.encoded_payload is None:
        payload: Any = body.payload
        _refuse_masks(call, payload)
    else:
        if body.payload is not None:
            raise invalid("the body has both payload and encoded_payload; send one of them")
        data = codec.foreign_payload(_bytes(body, "payload"), limit)
        if known is None:
            return data
        payload = known.decode_payload(data)
    try:
        if known is None:
            return codec.encode_payload(payload, limit)
        return known.encode_payload(payload, limit)
    except UnsupportedType:
        raise
    except TypeError as error:
        raise InvalidPayload(str(error)) from error


def _refuse_masks(call: Call, payload: Any) -> None:
    """What was read here may be sent here, but not with the masks that stand for its values."""
    if place := codec.masked_field(payload, call.served.settings.redact):
        raise invalid(
            f"the payload's {place} is the mask that polos_redact shows in place of a value; "
            "send the value itself"
        )


def _state(call: Call, known: AnyWorkflow | None, body: StartBody) -> bytes | None:
    limit = call.served.settings.max_value_bytes
    state = body.initial_state
    if body.encoded_initial_state is not None:
        if state is not None:
            raise invalid("the body has both initial_state and encoded_initial_state; send one")
        state = codec.decode(_bytes(body, "initial_state"), lenient=True)
    if known is not None:
        return known.encode_state(state, limit)
    return None if state is None else codec.encode(state, limit)


def _bytes(body: StartBody | ForkBody, field: str) -> bytes:
    try:
        return encoded_of(body.model_dump(include={f"encoded_{field}"}), field) or b""
    except ValueError as error:
        raise CodecError(f"encoded_{field} can't be read: {error}") from error


def _first(given: T | None, declared: T | None) -> T | None:
    return declared if given is None else given
