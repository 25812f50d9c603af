"""What is to be thought of a broker and of Celery's settings: facts in, findings out."""

from __future__ import annotations

from collections.abc import Iterator

from polos.cli.doctor.facts import BrokerFacts, CeleryFacts
from polos.cli.doctor.finding import Finding, error, ok, warning
from polos.model.settings import Settings
from polos.model.words import lasting

# RabbitMQ's own default for consumer_timeout, since 3.8.17.
_RABBIT_SECONDS = 1800.0
_DAY = 86_400.0
# More messages than that, fetched ahead, lie beside idle workers for too long.
_MANY_AHEAD = 4
_FEW_ETAS = 100


def of_broker(broker: BrokerFacts, celery: CeleryFacts, settings: Settings) -> Iterator[Finding]:
    """Whether it answers, and what it does to messages that are long on their way."""
    if broker.refusal:
        yield error(
            "broker",
            f"the broker {broker.url} can't be reached: {broker.refusal}",
            "start it, or correct broker_url (POLOS_BROKER_URL). Until then starts are stored and "
            "delivered later",
        )
        return
    yield ok("broker", f"{broker.url} answers")
    if broker.kind == "memory":
        yield warning(
            "broker",
            "messages in memory:// are seen by one process only",
            "set broker_url to a broker that all programs reach",
        )
    if broker.visibility is not None:
        yield from _of_visibility(broker.visibility, celery, settings)
    if broker.kind == "amqp":
        yield _of_consumer_timeout(broker, celery)


def _of_visibility(visibility: float, celery: CeleryFacts, settings: Settings) -> Iterator[Finding]:
    longer = "set broker_transport_options = {'visibility_timeout': ...} to more"
    horizon = settings.countdown_horizon
    if horizon >= visibility:
        yield error(
            "visibility",
            f"polos_countdown_horizon ({horizon:g} s) is not below the broker's visibility timeout "
            f"({visibility:g} s): it delivers messages with a countdown again before they are due",
            f"{longer} than twice the horizon, or lower POLOS_COUNTDOWN_HORIZON",
        )
    elif horizon > visibility / 2:
        yield warning(
            "visibility",
            f"polos_countdown_horizon ({horizon:g} s) is more than half of the broker's visibility "
            f"timeout ({visibility:g} s)",
            f"{longer} than twice the horizon, or lower POLOS_COUNTDOWN_HORIZON",
        )
    else:
        yield ok("visibility", f"the visibility timeout is {visibility:g} s")
    limit = celery.longest_limit
    if celery.acks_late and (limit is None or limit > visibility):
        may = "have no time limit" if limit is None else f"may take {limit:g} s"
        yield warning(
            "visibility",
            f"with task_acks_late, tasks that {may} are delivered again after {visibility:g} s, "
            "while they run. Workflows are not run twice; your own tasks are",
            f"{longer} than your longest task takes, or give tasks a time limit below it",
        )


def _of_consumer_timeout(broker: BrokerFacts, celery: CeleryFacts) -> Finding:
    name = f"RabbitMQ {broker.version}".strip()
    limit = celery.longest_limit
    if limit is not None and limit > _RABBIT_SECONDS:
        return warning(
            "rabbitmq",
            f"{name} closes the channel of a worker that holds a message for longer than its "
            f"consumer_timeout, {_RABBIT_SECONDS:g} s by default, and tasks may take {limit:g} s",
            "raise consumer_timeout in rabbitmq.conf above your longest task, or lower the time "
            "limits",
        )
    return ok(
        "rabbitmq",
        f"{name}; an attempt, from one wait to the next, must be shorter than its "
        f"consumer_timeout, {_RABBIT_SECONDS:g} s by default",
    )


def of_celery(celery: CeleryFacts) -> Iterator[Finding]:
    """Celery's settings that change what workflows do."""
    found = [*_of_running(celery), *_of_results(celery)]
    yield from found or [ok("celery", "its settings suit workflows")]


def _of_running(celery: CeleryFacts) -> Iterator[Finding]:
    if celery.always_eager:
        yield error(
            "celery",
            "task_always_eager is on: workflows run within the program that starts them, their "
            "waits are skipped, and a crash loses them",
            "set task_always_eager in tests only",
        )
    ahead = celery.prefetch_multiplier
    if ahead == 0 or ahead > _MANY_AHEAD:
        many = "any number of messages" if ahead == 0 else f"{ahead} messages for each slot"
        yield warning(
            "celery",
            f"worker_prefetch_multiplier is {ahead}: a worker that is busy with long steps keeps "
            f"{many} from idle ones, until the sweep sends them again",
            "set worker_prefetch_multiplier = 1 for workers that run workflows",
        )
    limit = celery.eta_task_limit
    if limit is not None and limit < _FEW_ETAS:
        yield warning(
            "celery",
            f"worker_eta_task_limit is {limit}: so many messages with a countdown, and a worker "
            "takes no others until one is due",
            f"raise it to {_FEW_ETAS} or more, or lower POLOS_COUNTDOWN_HORIZON",
        )


def _of_results(celery: CeleryFacts) -> Iterator[Finding]:
    if celery.ignore_result and celery.result_backend:
        yield warning(
            "results",
            "task_ignore_result is on, so a chord never learns of the ends of its parts",
            "set ignore_result=False on workflows that are parts of chords, "
            '@workflow(celery={"ignore_result": False})',
        )
    expires = celery.result_expires
    if celery.result_backend and expires is not None and 0 < expires < _DAY:
        yield warning(
            "results",
            f"results expire after {expires:g} s; a chord whose parts wait for longer never ends, "
            "and AsyncResult.get() finds nothing",
            "raise result_expires above the longest wait of your workflows",
        )


def of_settings(settings: Settings, celery: CeleryFacts) -> Iterator[Finding]:
    """Settings of Polos that fight one another, or Celery's."""
    found = [*_of_leases(settings), *_of_waits(settings), *_of_shutdown(settings, celery)]
    yield from found or [ok("settings", "no two of them fight")]


def _of_leases(settings: Settings) -> Iterator[Finding]:
    lease = settings.lease_seconds
    if lease < 5:
        yield warning(
            "settings",
            f"polos_lease_seconds is {lease:g}: a worker that stands still for that long, as in a "
            "slow garbage collection, loses its executions",
            "raise POLOS_LEASE_SECONDS to 5 or more; 15 is the default",
        )
    if lease > 300:
        yield warning(
            "settings",
            f"polos_lease_seconds is {lease:g}: so long nobody goes on with what ran on a host "
            "that is gone",
            "lower POLOS_LEASE_SECONDS; 15 is the default",
        )
    if settings.unwind_seconds >= lease:
        yield warning(
            "settings",
            f"polos_unwind_seconds ({settings.unwind_seconds:g}) is not below "
            f"polos_lease_seconds ({lease:g}): cleaning up may outlast the lease",
            "lower POLOS_UNWIND_SECONDS below the lease",
        )


def _of_waits(settings: Settings) -> Iterator[Finding]:
    threshold, horizon = settings.wait_threshold_seconds, settings.countdown_horizon
    if threshold >= horizon:
        yield error(
            "settings",
            f"polos_wait_threshold_seconds ({threshold:g}) is not below polos_countdown_horizon "
            f"({horizon:g}): every wait that could get a message of its own is slept in a slot",
            "lower POLOS_WAIT_THRESHOLD_SECONDS; 0.5 is the default",
        )
    elif threshold > 5:
        yield warning(
            "settings",
            f"polos_wait_threshold_seconds is {threshold:g}: waits up to that hold a worker slot",
            "lower POLOS_WAIT_THRESHOLD_SECONDS; 0.5 is the default",
        )


def _of_shutdown(settings: Settings, celery: CeleryFacts) -> Iterator[Finding]:
    own, celerys = settings.soft_shutdown_seconds, celery.soft_shutdown
    changed = own != Settings().soft_shutdown_seconds
    if celerys and changed and celerys != own:
        yield warning(
            "settings",
            f"polos_soft_shutdown_seconds ({own:g}) does nothing: worker_soft_shutdown_timeout "
            f"({celerys:g}) comes first",
            "set one of the two",
        )
    time = celerys or own
    if settings.unwind_seconds > time:
        yield warning(
            "settings",
            f"polos_unwind_seconds ({settings.unwind_seconds:g}) is above the {time:g} s that a "
            "worker has to end",
            "lower POLOS_UNWIND_SECONDS, or give workers more time",
        )


def of_retention(settings: Settings) -> Finding:
    """How long what has ended is kept."""
    days = settings.retention_days
    if not days:
        return ok(
            "retention",
            "what has ended is kept for ever, unless polos_retention_days is set or 'polos prune' "
            "is run",
        )
    kept = lasting(days * _DAY)
    if days < 1:
        return warning(
            "retention",
            f"what has ended is deleted {kept} later: a program that asks for a result after that "
            "finds nothing, and an idempotency key is new again",
            "raise POLOS_RETENTION_DAYS to 1 or more",
        )
    return ok("retention", f"what has ended is kept for {kept}")
