"""What Celery gave with an execution's first message, kept for all the messages that follow.

Chains, chords, links and the rest travel in the message; after a wait the same id is published
again, and they go with it.
"""

from __future__ import annotations

from typing import Any

from kombu.utils.json import dumps, loads

from polos.binding.message_check import check_options
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
# What AMQP has a byte for; other brokers have fewer.
_HIGHEST = 255


def keep(options: dict[str, Any]) -> bytes | None:
    """The options worth keeping, encoded; None where there are none."""
    kept = {name: options[name] for name in _KEPT if options.get(name)}
    return dumps(kept).encode() if kept else None


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
    """The same under the names that ``app.amqp.create_task_message`` has for them."""
    options = options_of(data)
    for name, there in (("link", "callbacks"), ("link_error", "errbacks")):
        if name in options:
            found = options.pop(name)
            options[there] = found if isinstance(found, list) else [found]
    return options


def known_priority(value: Any) -> int | None:
    """A priority as a broker and a column take it; None for anything else."""
    return value if type(value) is int and 0 <= value <= _HIGHEST else None
