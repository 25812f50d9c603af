"""All of our own scenes, in the order in which they play."""

from __future__ import annotations

from benchmarks import backlog, pages, recovery
from benchmarks.scenes import (
    branches,
    enqueue,
    fan_out,
    latency,
    parked,
    profile,
    stacks,
    step_cost,
    waits,
)

OURS = (
    latency.SCENE,
    step_cost.SCENE,
    branches.SCENE,
    fan_out.SCENE,
    waits.SCENE,
    enqueue.SCENE,
    stacks.SCENE,
    parked.SCENE,
    profile.SCENE,
    backlog.SCENE,
    recovery.SCENE,
    pages.SCENE,
)
