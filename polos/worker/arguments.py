"""What ``Worker`` and ``Polos`` are given, checked."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from polos.definition.registry import Registry
from polos.definition.workflow import Workflow
from polos.errors import ConfigurationError


def slots_of(max_concurrent_workflows: Any) -> int:
    """How many executions a worker runs at once; by default the number of processors, at least 4.

    Raises:
        ConfigurationError: it is no whole number from 1 on.
    """
    given = max_concurrent_workflows
    if given is None:
        return max(4, os.cpu_count() or 1)
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise ConfigurationError(
            f"max_concurrent_workflows is {given!r}; pass a whole number from 1 on, or leave it out"
        )
    return given


def registry_of(workflows: Any) -> Registry:
    """A registry of these workflows and no others.

    Raises:
        TypeError: they are no list of workflows.
        ValueError: two of them have one id.
    """
    given = workflows if isinstance(workflows, Iterable) else (workflows,)
    known = Registry()
    for workflow in given:
        if workflow is workflows or not isinstance(workflow, Workflow):
            raise TypeError(
                f"workflows holds {workflow!r}; pass a list of functions that are decorated with "
                "@workflow, such as workflows=[order_workflow]"
            )
        known.add(workflow)
    return known
