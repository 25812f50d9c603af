"""What ``/metrics`` tells of workflows, read as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

from polos import Polos, WorkflowContext, workflow
from polos.errors import StoreUnavailable
from polos.flower import measuring
from polos.flower.measuring import Measured, Measuring
from polos.flower.metrics import families
from polos.model.facts import SeenWorker
from polos.model.measures import BOUNDS, Present
from polos.model.ports import StartRequest
from polos.model.records import Micros
from polos.model.workers import SweepCounts, WorkerReport
from polos.server.served import Served
from tests.support.processes import until


@workflow(id="measured")
async def measured(ctx: WorkflowContext, payload: dict) -> None:
    calls: list[int] = []

    def shaky() -> None:
        calls.append(1)
        if len(calls) < 2:
            raise ConnectionError("not yet")

    await ctx.step.run("shaky", shaky, base_delay=0.01, jitter=0.0)
    if payload["fails"]:
        raise ValueError("as asked")


@pytest.fixture
def polos(tmp_path: Path) -> Iterator[Polos]:
    with Polos(database_url=f"sqlite:///{tmp_path}/polos.db", workflows=[measured]) as made:
        yield made


def text_of(found: Measured) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The samples by name and labels, through Prometheus's own text and parser."""

    class Once(Collector):
        def describe(self) -> Any:
            return ()

        def collect(self) -> Any:
            return families(found)

    registry = CollectorRegistry()
    registry.register(Once())
    text = generate_latest(registry).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def sample(samples: Any, name: str, **labels: str) -> float:
    found: float = samples[name, frozenset({"project": "default", **labels}.items())]
    return found


def test_ends_durations_and_retries_add_up(polos: Polos, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_LATE", 0.0)
    reads = Measuring(Served(polos.bound))
    reads.look()
    for fails in (False, False, True):
        handle = measured.start(polos, {"fails": fails})
        until(lambda handle=handle: handle.status().ended)
        reads.look()
    samples = text_of(reads.look())
    named = {"workflow": "measured"}
    assert sample(samples, "polos_executions_ended_total", status="completed", **named) == 2
    assert sample(samples, "polos_executions_ended_total", status="failed", **named) == 1
    assert sample(samples, "polos_step_retries_total", kind="step", **named) == 3
    steps = "polos_step_duration_seconds"
    assert sample(samples, f"{steps}_count", kind="step", **named) == 3
    assert sample(samples, f"{steps}_bucket", kind="step", le="+Inf", **named) == 3
    in_bounds = [
        sample(samples, f"{steps}_bucket", kind="step", le=format(float(bound), "g"), **named)
        for bound in BOUNDS
    ]
    assert in_bounds == sorted(in_bounds)
    assert in_bounds[-1] == 3
    assert samples["polos_store_up", frozenset()] == 1


def test_what_waits_and_who_works(polos: Polos) -> None:
    until(lambda: Measuring(Served(polos.bound)).look().present["default"].workers)
    polos.stop_worker()
    client = polos.bound.client
    for _ in range(3):
        measured.start(polos, {"fails": False})
    samples = text_of(Measuring(Served(polos.bound)).look())
    assert client is not None
    named = {"workflow": "measured"}
    assert sample(samples, "polos_executions", status="queued", **named) == 3
    assert sample(samples, "polos_due_unclaimed", queue="", **named) == 3
    assert sample(samples, "polos_oldest_unstarted_seconds") >= 0


def test_each_number_has_the_name_of_what_it_counts() -> None:
    counts = SweepCounts(sweeps=1, seconds=2.5, leases_lost=3, sent_again=4)
    alive = WorkerReport("w1@host", "owner", slots=6, idle=5, queues=("q",), counts=counts)
    workers = (SeenWorker(alive, 0.0), SeenWorker(replace(alive, name="w2@host"), 3600.0))
    now, minute = Micros(90_000_000), Micros(30_000_000)
    present = {"default": Present(now, {}, (), workers, unstarted=minute)}
    samples = text_of(Measured(True, 0.1, present))
    told = {
        name.removeprefix("polos_"): value
        for (name, labels), value in samples.items()
        if ("worker", "w1@host") in labels
    }
    assert told == {
        "worker_slots": 6,
        "worker_idle_slots": 5,
        "sweeps_total": 1,
        "sweep_seconds_total": 2.5,
        "leases_lost_total": 3,
        "hints_sent_again_total": 4,
    }
    # One that fell silent is none that could do anything.
    assert not [name for name, labels in samples if ("worker", "w2@host") in labels]
    assert sample(samples, "polos_oldest_unstarted_seconds") == 60


def test_what_waits_in_a_project_without_a_worker_is_told(polos: Polos) -> None:
    served = Served(polos.bound)
    served.client("deserted").start(StartRequest("measured", b"{}"))
    samples = text_of(Measuring(served).look())
    named = {"project": "deserted", "workflow": "measured", "queue": ""}
    assert sample(samples, "polos_due_unclaimed", **named) == 1


def test_a_scrape_waits_for_no_database(polos: Polos, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Measuring(Served(polos.bound))
    assert reads.last().up is False
    until(lambda: reads.last().up)
    monkeypatch.setattr(measuring, "_PAUSE", 0.01)

    def away() -> Measured:
        raise StoreUnavailable("here", "it is away")

    monkeypatch.setattr(reads, "look", away)
    reads._thread = None
    until(lambda: not reads.last().up)
    assert text_of(reads.last())["polos_store_up", frozenset()] == 0
