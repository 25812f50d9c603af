"""All that the API does: the handlers and the document are made of this list."""

from __future__ import annotations

from polos.server import about, executions, flows, starting, waiting
from polos.server import answers as a
from polos.server import examples as e
from polos.server import requests as r
from polos.server.events import EVENT_STREAM, events
from polos.server.operation import Operation, Shape

_EXECUTION = "/executions/{execution_id}"
_WORKFLOW = "/workflows/{workflow_id}"
_LOCATION = {"Location": "Where the execution is."}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="health",
        method="GET",
        path="/health",
        does=about.health,
        summary="Whether the server answers",
        text="Asks nothing else. For liveness probes.",
        tag="server",
        answers={200: Shape("It does.", a.HealthAnswer, e.HEALTH)},
        is_open=True,
    ),
    Operation(
        name="ready",
        method="GET",
        path="/ready",
        does=about.ready,
        summary="Whether the server can do its work",
        text="Asks the database and the broker, once a second at most. For readiness probes.",
        tag="server",
        answers={
            200: Shape("It can.", a.ReadyAnswer, e.READY),
            503: Shape("Something is away; the checks say what.", a.ReadyAnswer, e.NOT_READY),
        },
        is_open=True,
    ),
    Operation(
        name="list_workflows",
        method="GET",
        path="/workflows",
        does=flows.list_workflows,
        summary="All workflows that are known",
        tag="workflows",
        answers={200: Shape("The workflows, by id.", a.WorkflowsAnswer, e.WORKFLOWS)},
    ),
    Operation(
        name="get_workflow",
        method="GET",
        path=_WORKFLOW,
        does=flows.get_workflow,
        summary="One workflow",
        tag="workflows",
        answers={200: Shape("The workflow.", a.WorkflowAnswer, e.WORKFLOW)},
        refusals=(404,),
    ),
    Operation(
        name="start",
        method="POST",
        path=_WORKFLOW + "/executions",
        does=starting.start,
        summary="Start a workflow",
        text="A start with an `idempotency_key` that is taken gives the execution that has it. The "
        "payload is validated where the server has the workflow's code, else by the worker.",
        answers={
            201: Shape("It was started.", a.ExecutionAnswer, e.EXECUTION, _LOCATION),
            200: Shape("The key was taken.", a.ExecutionAnswer, e.EXECUTION, _LOCATION),
        },
        refusals=(404, 409),
        body=r.OneStart,
        body_example=e.START,
        changes=True,
    ),
    Operation(
        name="start_many",
        method="POST",
        path="/executions",
        does=starting.start_many,
        summary="Start many workflows",
        text="All of them are started, or none.",
        answers={201: Shape("They were started.", a.ExecutionsAnswer, e.EXECUTIONS)},
        refusals=(404, 409),
        body=r.BatchBody,
        body_example=e.BATCH,
        changes=True,
        most_values=8,
    ),
    Operation(
        name="list_executions",
        method="GET",
        path="/executions",
        does=executions.list_executions,
        summary="Executions, newest first",
        text="A page is found by where the one before it ended: the last costs what the first "
        "does.",
        answers={200: Shape("A page.", a.PageAnswer, e.PAGE)},
        query=r.ListQuery,
    ),
    Operation(
        name="wait",
        method="POST",
        path="/executions/wait",
        does=waiting.wait,
        summary="Wait until one of several has ended",
        text="Answers as soon as one of them has ended, with all that have by then; with none when "
        "the time is over. Ids that there are not never end.",
        answers={200: Shape("Those that have ended.", a.ExecutionsAnswer, e.EXECUTIONS)},
        body=r.WaitBody,
        body_example=e.WAIT,
    ),
    Operation(
        name="get_execution",
        method="GET",
        path=_EXECUTION,
        does=executions.get,
        summary="One execution with its steps",
        answers={200: Shape("The execution.", a.DetailsAnswer, e.DETAILS)},
        refusals=(404,),
    ),
    Operation(
        name="get_result",
        method="GET",
        path=_EXECUTION + "/result",
        does=waiting.result,
        summary="Wait for the end of one",
        text="Answers as soon as it has ended, or when the time is over; ask again then.",
        answers={
            200: Shape("It has ended.", a.ExecutionAnswer, e.EXECUTION),
            202: Shape("It has not ended yet.", a.ExecutionAnswer, e.RUNNING),
        },
        refusals=(404,),
        query=r.PollQuery,
    ),
    Operation(
        name="get_events",
        method="GET",
        path=_EXECUTION + "/events",
        does=events,
        summary="Follow one as it goes on",
        text="Server-sent events: `progress` when anything has changed, `end` when it has ended, "
        "and a comment every 15 seconds. Who comes again with `Last-Event-ID` hears only of what "
        "is new.",
        answers={
            200: Shape("The events.", a.EventAnswer, e.EVENT, media_type=EVENT_STREAM),
            204: Shape("It has ended, and all was told."),
        },
        refusals=(404,),
    ),
    Operation(
        name="cancel",
        method="POST",
        path=_EXECUTION + "/cancel",
        does=executions.cancel,
        summary="Cancel one and its children",
        answers={200: Shape("It is cancelled, or was asked to.", a.CancelledAnswer, e.CANCELLED)},
        refusals=(404,),
        body=r.Nothing,
        changes=True,
    ),
    Operation(
        name="retry",
        method="POST",
        path=_EXECUTION + "/retry",
        does=executions.retry,
        summary="Try a failed one again, from where it failed",
        answers={200: Shape("It is queued again.", a.ExecutionAnswer, e.RUNNING)},
        refusals=(404, 409),
        body=r.Nothing,
        changes=True,
    ),
    Operation(
        name="fork",
        method="POST",
        path=_EXECUTION + "/fork",
        does=starting.fork,
        summary="Start a copy of one, from one of its steps",
        answers={201: Shape("The copy.", a.ExecutionAnswer, e.RUNNING, _LOCATION)},
        refusals=(404, 409),
        body=r.ForkBody,
        body_example=e.FORK,
        changes=True,
    ),
    Operation(
        name="prune",
        method="POST",
        path="/prune",
        does=executions.prune,
        summary="Delete what ended long ago",
        answers={200: Shape("It is deleted.", a.DeletedAnswer, e.DELETED)},
        body=r.PruneBody,
        body_example=e.PRUNE,
        changes=True,
    ),
)
