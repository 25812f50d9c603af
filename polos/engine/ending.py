"""What the end of an attempt means: by the execution's time, and by its workflow's retries."""

from __future__ import annotations

from typing import Any

from polos.definition.workflow import Workflow
from polos.engine.clock import StoreClock
from polos.engine.journal import Journal
from polos.model.outcome import Cancelled, Failed, Outcome, TriedAgain, timed_out
from polos.model.records import Failure, Micros, as_datetime, micros
from polos.model.retry import RetryPolicy

# The pauses before whole executions are tried again are those of steps.
PAUSES = RetryPolicy()


def judged(
    outcome: Outcome, workflow: Workflow[Any, Any], journal: Journal, clock: StoreClock
) -> Outcome:
    """The outcome as it is to be committed.

    A function that failed is tried again where its workflow has retries left; one that was
    cancelled because its time is over has failed.
    """
    execution = journal.execution
    match outcome:
        case Failed(failure) if execution.retries_used < workflow.retries:
            return _again(failure, workflow.retries, journal, clock)
        case Cancelled() if execution.deadline_at is not None:
            _, cancelled_at = journal.seen()
            if cancelled_at is not None and cancelled_at >= execution.deadline_at:
                return Failed(timed_out(execution.run_timeout), with_children=True)
    return outcome


def _again(failure: Failure, retries: int, journal: Journal, clock: StoreClock) -> Outcome:
    execution, number = journal.execution, journal.execution.retries_used + 1
    due = Micros(clock.at_most() + micros(PAUSES.delay(number)))
    if execution.deadline_at is not None and due >= execution.deadline_at:
        return Failed(failure)
    # What the error says stays out of it: hints and Celery's events carry no data of users.
    reason = (
        f"tried again ({number} of {retries}) at {as_datetime(due):%Y-%m-%d %H:%M:%S} UTC after "
        f"{failure.error_type}"
    )
    return TriedAgain(failure, due, reason)
