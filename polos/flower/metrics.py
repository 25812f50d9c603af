"""What Flower's ``/metrics`` tells of workflows, in Prometheus's terms.

Durations and ends are counted from the first scrape on, and begin again when Flower does, as
counters may. What was committed later than five seconds after its end is not in them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from polos.binding.of_app import bound_apps
from polos.flower.measuring import Measured, Measuring
from polos.model.measures import BOUNDS, Present, Spread
from polos.model.records import SECOND
from polos.server.served import served_of


class PolosCollector(Collector):
    """Gives what was read last of the app that this Flower is for."""

    def __init__(self) -> None:
        self._measuring: dict[int, Measuring] = {}
        self._lock = threading.Lock()

    def describe(self) -> Iterable[Metric]:
        """Nothing: else the registry would ask for all when it is given this."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The metrics; none where the app has no Polos."""
        # A process with Flower has one; it need not be the current one.
        apps = bound_apps()
        served = served_of(apps[0]) if apps else None
        if served is None:
            return ()
        with self._lock:
            measuring = self._measuring.setdefault(id(served), Measuring(served))
        return families(measuring.last())


def register() -> None:
    """Add what Polos measures to what Flower's ``/metrics`` gives, once."""
    if not _registered.is_set():
        _registered.set()
        REGISTRY.register(PolosCollector())


_registered = threading.Event()


def families(measured: Measured) -> Iterator[Metric]:
    """What was measured, as metrics."""
    yield GaugeMetricFamily("polos_store_up", "Whether the database answers.", measured.up)
    yield GaugeMetricFamily(
        "polos_metrics_read_seconds", "How long reading these took.", measured.seconds
    )
    yield _open(measured.present)
    yield _due(measured.present)
    yield _unstarted(measured.present)
    yield from _workers(measured.present)
    yield _ended(measured)
    yield _histogram(
        "polos_execution_duration_seconds",
        "From the creation of an execution to its end.",
        ("project", "workflow", "status"),
        [(it, ended.executions) for it, ended in measured.ended.items()],
    )
    steps = [(it, ended.steps) for it, ended in measured.ended.items()]
    yield _histogram(
        "polos_step_duration_seconds",
        "From the beginning of a step's first attempt to its end.",
        ("project", "workflow", "kind"),
        steps,
    )
    yield _retries(steps)


def _open(present: Mapping[str, Present]) -> Metric:
    family = GaugeMetricFamily(
        "polos_executions",
        "Executions that have not ended.",
        labels=("project", "workflow", "status"),
    )
    for project, found in present.items():
        for (workflow, status), number in found.open.items():
            family.add_metric((project, workflow, status), number)
    return family


def _due(present: Mapping[str, Present]) -> Metric:
    family = GaugeMetricFamily(
        "polos_due_unclaimed",
        "Executions that could run now and that no worker has claimed.",
        labels=("project", "workflow", "queue"),
    )
    for project, found in present.items():
        for due in found.due:
            family.add_metric((project, due.workflow_id, due.queue or ""), due.number)
    return family


def _unstarted(present: Mapping[str, Present]) -> Metric:
    family = GaugeMetricFamily(
        "polos_oldest_unstarted_seconds",
        "Age of the oldest execution that no worker has taken yet; 0 where there is none.",
        labels=("project",),
    )
    for project, found in present.items():
        since = found.now if found.unstarted is None else found.unstarted
        family.add_metric((project,), max(0.0, (found.now - since) / SECOND))
    return family


def _workers(present: Mapping[str, Present]) -> Iterator[Metric]:
    alive = [
        (project, seen.report)
        for project, found in present.items()
        for seen in found.workers
        if seen.is_alive
    ]
    labels = ("project", "worker")
    slots = GaugeMetricFamily("polos_worker_slots", "What it can run at once.", labels=labels)
    idle = GaugeMetricFamily("polos_worker_idle_slots", "Those that are free.", labels=labels)
    sweeps = CounterMetricFamily("polos_sweeps", "Sweeps that it did.", labels=labels)
    seconds = CounterMetricFamily("polos_sweep_seconds", "Seconds that they took.", labels=labels)
    lost = CounterMetricFamily(
        "polos_leases_lost", "Executions that it took from workers that are gone.", labels=labels
    )
    again = CounterMetricFamily(
        "polos_hints_sent_again",
        "Messages for what nobody had claimed.",
        labels=labels,
    )
    for project, report in alive:
        named = (project, report.name)
        slots.add_metric(named, report.slots)
        idle.add_metric(named, report.idle)
        sweeps.add_metric(named, report.counts.sweeps)
        seconds.add_metric(named, report.counts.seconds)
        lost.add_metric(named, report.counts.leases_lost)
        again.add_metric(named, report.counts.sent_again)
    yield from (slots, idle, sweeps, seconds, lost, again)


def _ended(measured: Measured) -> Metric:
    family = CounterMetricFamily(
        "polos_executions_ended", "Executions that ended.", labels=("project", "workflow", "status")
    )
    for project, ended in measured.ended.items():
        for (workflow, status), spread in ended.executions.items():
            family.add_metric((project, workflow, status), spread.number)
    return family


def _retries(steps: Iterable[tuple[str, Mapping[tuple[str, str], Spread]]]) -> Metric:
    family = CounterMetricFamily(
        "polos_step_retries",
        "Attempts of steps after their first ones.",
        labels=("project", "workflow", "kind"),
    )
    for project, spreads in steps:
        for (workflow, kind), spread in spreads.items():
            family.add_metric((project, workflow, kind), spread.retries)
    return family


def _histogram(
    name: str,
    text: str,
    labels: tuple[str, ...],
    found: Iterable[tuple[str, Mapping[tuple[str, str], Spread]]],
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for project, spreads in found:
        for (workflow, second), spread in spreads.items():
            buckets = [
                (format(bound, "g"), count)
                for bound, count in zip(BOUNDS, spread.counts, strict=True)
            ]
            buckets.append(("+Inf", spread.number))
            family.add_metric((project, workflow, second), buckets, spread.seconds)
    return family
