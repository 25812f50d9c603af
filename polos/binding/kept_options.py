"""What Celery gave with an execution's first message, kept for all the messages that follow.

Chains, chords, links and the rest travel in the message; after a wait the same id is published
again, and they go with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from kombu.utils.json import dumps, loads

from polos.binding.message_check import check_options, is_custom
from polos.definition.names import is_priority
from polos.errors import CodecError
from polos.model.records import Execution

# ``expires`` would poison the id in every worker's revoked set when published after its time.
_KEPT = (
    "root_id",
    "parent_id",
    "group_id",
    "group_index",
    "shadow",
    "chord",
    "chain",
    "link",
    "link_error",
    "soft_time_limit",
    "time_limit",
    "reply_to",
    "replaced_task_nesting",
)
_LINKS = ("link", "link_error")
# Of Polos itself, and what brokers tell of one delivery.
_NOT_OWN = ("polos_", "x-death", "x-delivery-", "x-acquired-", "x-first-death-", "x-last-death-")


def keep(options: Mapping[str, Any], execution_id: str) -> bytes | None:
    """The options worth keeping, encoded; None where there are none."""
    kept = {name: options[name] for name in _KEPT if options.get(name)}
    # The first of a chord has the place 0.
    for name in ("group_index", "ignore_result"):
        if options.get(name) is not None:
            kept[name] = options[name]
    if headers := _own_headers(options.get("headers")):
        kept["headers"] = headers
    stamps = [name for name in options.get("stamped_headers") or () if name in options]
    if stamps:
        kept |= {"stamped_headers": stamps} | {name: options[name] for name in stamps}
    for name in _LINKS:
        if name in kept:
            kept[name] = [
                _with_id(signature, f"{execution_id}\0{name}\0{number}")
                for number, signature in enumerate(_as_list(kept[name]))
            ]
    return dumps(kept).encode() if kept else None


def _own_headers(given: Any) -> dict[str, Any]:
    """The headers that are the sender's own, and that each broker and serializer can carry."""
    if not isinstance(given, Mapping):
        return {}
    return {
        name: value
        for name, value in given.items()
        if is_custom(name) and not name.startswith(_NOT_OWN) and _is_plain_data(value)
    }


def _is_plain_data(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _with_id(signature: Any, seed: str) -> Any:
    """A callback under an id of its own: sent twice, it is one task."""
    if not isinstance(signature, Mapping) or signature.get("subtask_type"):
        return signature
    options = dict(signature.get("options") or {})
    options.setdefault("task_id", str(uuid5(NAMESPACE_OID, seed)))
    return {**signature, "options": options}


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def options_of(data: bytes | None) -> dict[str, Any]:
    """What ``keep`` encoded.

    Raises:
        CodecError: it is damaged.
    """
    try:
        found: Any = loads(data.decode()) if data else {}
        check_options(found)
    except Exception as error:  # kombu restores types by their own means, which raise anything
        text = str(error)[:200]
        raise CodecError(f"the kept options of its Celery task can't be read: {text}") from error
    return dict(found)


def check_execution(execution: Execution) -> None:
    """Raise CodecError where what is kept with an execution can't go with its messages."""
    options_of(execution.celery_options)


def message_options(data: bytes | None) -> dict[str, Any]:
    """The same under the names that ``app.amqp.create_task_message`` has, and ``headers``."""
    options = options_of(data)
    for name, there in (("link", "callbacks"), ("link_error", "errbacks")):
        if name in options:
            options[there] = _as_list(options.pop(name))
    return options


def known_priority(value: Any) -> int | None:
    """A priority as a broker and a column take it; None for anything else."""
    return value if is_priority(value) else None
