"""What is to be thought of the workers: facts in, findings out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from polos.cli.doctor.facts import WorkerAnswer
from polos.cli.doctor.finding import Finding, error, ok, warning
from polos.model.facts import SILENT, Overview, SeenWorker
from polos.model.unclaimed import unconsumed
from polos.model.words import counted
from polos.model.workers import WorkerReport

_CLOCK_SECONDS = 2.0


def living(workers: Sequence[SeenWorker]) -> list[WorkerReport]:
    """Those that have reported lately."""
    return [seen.report for seen in workers if seen.is_alive]


def of_workers(seen: Overview, project: str, projects: Sequence[str]) -> Iterator[Finding]:
    """Whether somebody serves this project, and all of its workflows."""
    alive = living(seen.workers)
    if alive:
        slots = sum(worker.slots for worker in alive)
        serving = f"{counted(len(alive), 'worker')} with {counted(slots, 'slot')}"
        yield ok("workers", f"{serving} for the project {project!r}")
    elif others := [name for name in projects if name != project]:
        yield error(
            "workers",
            f"no worker serves the project {project!r}; those that run serve "
            f"{', '.join(map(repr, others))}",
            "give clients and workers the same POLOS_PROJECT_ID (polos_project_id)",
        )
    else:
        yield warning(
            "workers",
            f"no worker of the project {project!r} has reported within {SILENT:g} s",
            "start one: celery -A proj worker; without an app of yours, POLOS_WORKFLOWS=workflows "
            "celery -A polos.celery_app worker",
        )
    yield from _of_silent(seen.workers)
    yield from _of_unserved(seen, alive)


def _of_silent(workers: Sequence[SeenWorker]) -> Iterator[Finding]:
    for worker in workers:
        if worker.silent > SILENT:
            yield warning(
                "workers",
                f"{worker.report.name} has been silent for {worker.silent:.0f} s and did not sign "
                "off: it was killed, hangs, or is cut off",
                "look at its log; others have taken over what it ran",
            )


def _of_unserved(seen: Overview, alive: Sequence[WorkerReport]) -> Iterator[Finding]:
    served = {workflow for worker in alive for workflow in worker.workflows}
    due: Counter[str] = Counter()
    for work in seen.due:
        # Of each queue by itself.
        due[work.workflow_id] += work.number
    for workflow, number in due.items():
        if workflow not in served:
            yield error(
                "workflows",
                f"{counted(number, 'execution')} of {workflow!r} due, and no living "
                "worker has its code",
                "start a worker that imports it (autodiscover_tasks, imports, POLOS_WORKFLOWS)",
            )


def of_queues(
    routes: Mapping[str, str], seen: Overview, alive: Sequence[WorkerReport]
) -> Iterator[Finding]:
    """Whether each queue that executions go to is consumed by a worker that has their code.

    Args:
        routes: the queue that Celery's routing gives each workflow.
        seen: the project.
        alive: the living workers.
    """
    wanted: dict[tuple[str, str], int] = {}
    for workflow, queue in routes.items():
        wanted[workflow, queue] = 0
    for work in seen.due:
        queue = work.queue or routes.get(work.workflow_id, "")
        if queue:
            wanted[work.workflow_id, queue] = work.number
    for (workflow, queue), number in sorted(wanted.items()):
        # No worker at all is said elsewhere.
        if unconsumed(workflow, queue, alive):
            due = f"; due are {number:,}" if number else ""
            kind = error if number else warning
            yield kind(
                "queues",
                f"executions of {workflow!r} go to the queue {queue!r}, which no worker that has "
                f"its code consumes{due}",
                f"start a worker with -Q {queue}, or change task_routes",
            )


def of_answers(
    answers: Sequence[WorkerAnswer], version: str, settings: Mapping[str, object]
) -> Iterator[Finding]:
    """Whether workers run the same release with the same settings, and their clocks are right."""
    for answer in answers:
        yield from _of_answer(answer, version, settings)
    if answers:
        yield ok("versions", f"{counted(len(answers), 'worker')} answered Celery's remote control")


def _of_answer(
    answer: WorkerAnswer, version: str, settings: Mapping[str, object]
) -> Iterator[Finding]:
    if answer.polos != version:
        yield warning(
            "versions",
            f"{answer.name} runs Polos {answer.polos}, this is {version}",
            "deploy one release; two that follow one another work together meanwhile",
        )
    for name, here in settings.items():
        there = answer.settings.get(name, here)
        if there != here:
            yield error(
                "settings",
                f"{answer.name} has polos_{name} = {there!r}, here it is {here!r}",
                f"give all programs the same POLOS_{name.upper()} (polos_{name})",
            )
    if abs(answer.ahead) > _CLOCK_SECONDS + answer.uncertainty:
        side = "ahead of" if answer.ahead > 0 else "behind"
        yield warning(
            "clock",
            f"the clock of {answer.name} is some {abs(answer.ahead):.0f} s {side} this host's; "
            "Celery's 'eta' and 'expires' of your own tasks go wrong there",
            "let its host set the clock by NTP",
        )
