"""Prints ``docs/states.md``, made from the transition table in ``polos.model.states``.

Use: ``python docs/make_states.py > docs/states.md``
"""

from __future__ import annotations

from collections.abc import Iterator

from polos.model.states import ENDED, TRANSITIONS, Status, Transition

_MEANING = {
    Status.QUEUED: "stored, and to be claimed by a worker",
    Status.RUNNING: "a worker holds its lease and runs an attempt",
    Status.WAITING: "parked: it waits for something, or to be tried again, and no worker holds it",
    Status.COMPLETED: "the function returned; the result is kept",
    Status.FAILED: "the function raised; the error is kept",
    Status.CANCELLED: "somebody cancelled it",
}

_WHEN = {
    "claim": "a delivery takes the lease; a waiting execution only when its time has come",
    "park": "everything in the attempt waits",
    "release": "the worker ends in the middle of a step and hands the execution on",
    "complete": "the function returned",
    "fail": "the function raised",
    "end as cancelled": "the function was cancelled and has cleaned up",
    "wake": "its time has come, a child ended, or it was cancelled",
    "reclaim": "the worker is gone, or its lease ran out",
    "give up": "too many recoveries without a new checkpoint, or its task's hard time limit",
    "cancel": "cancelled, or past its `expires`, before any worker claimed it",
    "revoke": "its task was revoked with `terminate`, which kills its process",
    "time out": "its run timeout is over, and it never ran or did not clean up in time",
    "try again": "the function raised, and its workflow has retries left",
    "retry": "somebody asked to try it again from where it failed",
    "retry later": "it is a child that failed, and its parent is tried again",
}


def page() -> Iterator[str]:
    """The lines of the page."""
    yield "# States of an execution"
    yield ""
    yield "<!-- Made by docs/make_states.py; don't edit. -->"
    yield ""
    yield "An execution is in one of six states. The table in `polos/model/states.py` says which"
    yield "may follow which. Every change of a state in the store is taken from it, and so is this"
    yield "page."
    yield ""
    yield "```mermaid"
    yield from _diagram()
    yield "```"
    yield ""
    yield "| state | meaning |"
    yield "|---|---|"
    for status in Status:
        yield f"| `{status}` | {_MEANING[status]} |"
    yield ""
    yield "A **fenced** change is refused unless it comes from the holder of the lease."
    yield ""
    yield "| change | from | to | fenced | when |"
    yield "|---|---|---|---|---|"
    for change in TRANSITIONS:
        fenced = "yes" if change.fenced else "no"
        sources = ", ".join(f"`{source}`" for source in _ordered(change))
        yield (
            f"| {change.name} | {sources} | `{change.target}` | {fenced} | {_WHEN[change.name]} |"
        )
    yield ""
    ends = [status for status in Status if status in ENDED]
    reopened = [it for it in TRANSITIONS if it.sources & ENDED]
    final = [status for status in ends if not any(status in it.sources for it in reopened)]
    names = " and ".join(f"*{it.name}*" for it in reopened)
    yield f"What has ended stays as it is: no change starts from {_listed(final)}, and from"
    yield f"`{Status.FAILED}` only {names}, which people ask for."


def _diagram() -> Iterator[str]:
    yield "stateDiagram-v2"
    yield f"    [*] --> {Status.QUEUED}: start"
    for change in TRANSITIONS:
        for source in _ordered(change):
            yield f"    {source} --> {change.target}: {change.name}"
    for status in Status:
        if status.ended:
            yield f"    {status} --> [*]"


def _ordered(change: Transition) -> list[Status]:
    return [status for status in Status if status in change.sources]


def _listed(statuses: list[Status]) -> str:
    names = [f"`{status}`" for status in statuses]
    return ", ".join(names[:-1]) + " or " + names[-1]


if __name__ == "__main__":
    print("\n".join(page()))
