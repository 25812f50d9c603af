"""The link from Flower's page of a Celery task to the execution that it is of."""

from __future__ import annotations

import re

from polos.binding.names import PREFIX

# Flower's scripts find the task's id in it, so it has been there for long.
_MARK = re.compile(r"<p\b[^>]*\bid=[\"']taskid[\"'][^>]*>.*?</p>", re.DOTALL)
# What is Polos's own among its tasks has a slash in its name, which no workflow's id has.
_LINK = f"""
  {{% from polos.server.served import served_of as polos_served_of %}}
  {{% set polos_name = str(getattr(task, "name", None) or "") %}}
  {{% set polos_is_ours = polos_name.startswith("{PREFIX}") and "/" not in polos_name %}}
  {{% if polos_is_ours and polos_served_of(handler.application.capp) %}}
  <p class="px-3 pt-2 mb-0"><a class="btn btn-sm btn-outline-primary"
    href="{{{{ reverse_url('polos_execution', task.uuid) }}}}">Show its steps in Workflows</a></p>
  {{% end %}}"""


def with_execution_link(page: str) -> str | None:
    """Flower's page of a task with the link on it; None where there is no place for it."""
    mark = _MARK.search(page)
    return None if mark is None else page[: mark.end()] + _LINK + page[mark.end() :]
