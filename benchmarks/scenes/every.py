"""All of our own scenes, in the order in which they play."""

from __future__ import annotations

from benchmarks.scenes import latency

OURS = (latency.SCENE,)
