"""Whether a chord has gone on, once Celery's Redis backend has taken the end of a part of it.

From Celery 5.7 on, whoever brings the last part takes a claim there, sends the body, and marks the
chord as done. The claim of one that dies in between stays for seconds: nobody else sends the body
meanwhile, and who brings the part again is not told that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from celery.app.task import Context


class ChordParts:
    """The parts of chords that end with one task, made before its backend is told of that end.

    Args:
        backend: the result backend.
        request: the task's; None where Celery gives none.
        failed: whether the tasks that are chained to it end with it.
    """

    def __init__(self, backend: Any, request: Any, failed: bool = False) -> None:
        self._backend = backend
        if request is None or not hasattr(type(backend), "_chord_part_return_script"):
            request = Context()
        own = [request] if request.chord else []
        self._chained = list(_chained(request)) if failed else []
        self._groups = {part.group for part in own + self._chained} - {None}
        # Looked at on both sides: a claim may run out while the part is brought.
        self._claimed = {group for group in self._groups if self._is_claimed(group)}

    def bring_chained(self, state: str, error: BaseException) -> None:
        """Bring what is chained to the task once more; the backend counts no part twice.

        Celery leaves out those that it has stored as failed, though it may have died of that.
        """
        for part in self._chained:
            if part.group and self._is_open(part.group):
                self._backend.on_chord_part_return(part, state, error)

    def may_hang(self) -> bool:
        """Whether the body of a chord may be left unsent by whoever has claimed to send it."""
        try:
            return any(
                (group in self._claimed or self._is_claimed(group)) and self._is_open(group)
                for group in self._groups
            )
        except self._backend.connection_errors:
            return True

    def _is_claimed(self, group: str) -> bool:
        key = self._backend.get_key_for_group(group, ".c")
        return self._ask("get", key) not in {None, b"done", "done"}

    def _is_open(self, group: str) -> bool:
        """Whether it has its size, which is deleted when it has gone on or has failed."""
        return bool(self._ask("exists", self._backend.get_key_for_group(group, ".s")))

    def _ask(self, command: str, key: Any) -> Any:
        return self._backend.ensure(getattr(self._backend.client, command), (key,))


def _chained(request: Any) -> Iterator[Context]:
    """The parts of chords among what fails with a task, as Celery finds them."""
    links = deque(request.chain or ())
    while links:
        link = links.popleft()
        part = Context(link)
        part.update(part.options)
        part.id, part.group = part.options.get("task_id"), part.options.get("group_id")
        if "chord" in part.options:
            yield part
        # Of a chord in a chain, the body is what those after it wait for.
        body = (link.get("kwargs") or {}).get("body")
        if link.get("subtask_type") == "chord" and body is not None:
            links.append(body)
