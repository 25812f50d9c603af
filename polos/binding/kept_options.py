"""What Celery gave with an execution's first message, kept for all the messages that follow.

Chains, chords, links and the rest travel in the message; after a wait the same id is published
again, and they go with it.
"""

from __future__ import annotations

from typing import Any

from kombu.utils.json import dumps, loads

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


def keep(options: dict[str, Any]) -> bytes | None:
    """The options worth keeping, encoded; None where there are none."""
    kept = {name: options[name] for name in _KEPT if options.get(name)}
    return dumps(kept).encode() if kept else None


def options_of(data: bytes | None) -> dict[str, Any]:
    """What ``keep`` encoded."""
    found: dict[str, Any] = loads(data.decode()) if data else {}
    return found


def message_options(data: bytes | None) -> dict[str, Any]:
    """The same under the names that ``app.amqp.create_task_message`` has for them."""
    options = options_of(data)
    for name, there in (("link", "callbacks"), ("link_error", "errbacks")):
        if name in options:
            found = options.pop(name)
            options[there] = found if isinstance(found, list) else [found]
    return options
