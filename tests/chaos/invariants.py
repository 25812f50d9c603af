"""What must hold in the end, whatever happened: pure functions of the evidence.

Each gives a list of violations, which begin with the letter of the promise that is broken.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from polos.model.records import SECOND, Kind
from polos.model.states import Status
from tests.chaos.evidence import CLOCK, Evidence, Row
from tests.chaos.expected import FAILURES, JUDGES, STATUSES, children, planned_failures
from tests.chaos.ledger import Line, Phase


def ended_right(evidence: Evidence) -> list[str]:
    """(a) Every execution has ended, with the right result."""
    found = [
        f"a: {id_} was started and is not there"
        for id_ in evidence.started.roots
        if id_ not in evidence.executions
    ]
    for id_, row in evidence.executions.items():
        complaint = _judged(evidence, id_, row)
        if complaint:
            found.append(f"a: {row['workflow_id']} {id_}: {complaint}")
    return found


def _judged(evidence: Evidence, id_: str, row: Row) -> str | None:
    workflow_id, status = row["workflow_id"], Status(row["status"])
    wanted = STATUSES.get(workflow_id, "completed")
    if status != wanted:
        return f"it is {status}, not {wanted}: {row['failure']}"
    if workflow_id in FAILURES:
        reason = row["failure"].reason
        return None if reason == FAILURES[workflow_id] else f"it failed with {reason!r}"
    if workflow_id in JUDGES:
        lines = evidence.lines_of.get(id_, [])
        return JUDGES[workflow_id](row["payload"], row["result"], lines)
    return None


# What is larger is no length of a wait, but a moment in seconds since 1970.
_A_MOMENT = 1e9


@dataclass(frozen=True, slots=True)
class Run:
    """A step's function, begun once.

    Attributes:
        end: when it ended; None where it was interrupted.
        phase: how it ended.
    """

    execution: str
    step: str
    attempt: str
    begin: float
    end: float | None
    phase: Phase | None


def runs(lines: Iterable[Line]) -> list[Run]:
    """The ledger's lines of one execution, paired."""
    found: list[Run] = []
    begun: dict[tuple[str, str], Line] = {}
    for line in lines:
        key = (line.attempt, line.step)
        if line.phase is Phase.BEGIN:
            if key in begun:
                found.append(_run(begun[key], None))
            begun[key] = line
        elif line.phase in (Phase.END, Phase.FAIL, Phase.CANCELLED) and key in begun:
            found.append(_run(begun.pop(key), line))
    return found + [_run(line, None) for line in begun.values()]


def _run(begin: Line, end: Line | None) -> Run:
    return Run(
        begin.execution,
        begin.step,
        begin.attempt,
        begin.at,
        end and end.at,
        end and end.phase,
    )


def never_again(evidence: Evidence) -> list[str]:
    """(b) What is recorded does not run again, and repeats are those of interrupted attempts."""
    found: list[str] = []
    for id_, lines in evidence.lines_of.items():
        row = evidence.executions.get(id_)
        if row is None:
            continue
        all_runs = runs(lines)
        found += [f"b: {text}" for text in _after_its_checkpoint(evidence, all_runs)]
        found += [f"b: {text}" for text in _unexplained(evidence, row, all_runs)]
    return found


def _after_its_checkpoint(evidence: Evidence, all_runs: list[Run]) -> Iterator[str]:
    for run in all_runs:
        recorded = evidence.recorded.get((run.execution, run.step))
        claim = evidence.claim_of.get(run.attempt)
        if claim is None:
            yield f"{run.execution}: {run.step!r} ran without a lease, in attempt {run.attempt}"
        elif recorded is not None and recorded.seq < claim.seq:
            yield (
                f"{run.execution}: {run.step!r} was recorded as no. {recorded.seq}, and ran again "
                f"under the lease that was taken as no. {claim.seq}"
            )


def _unexplained(evidence: Evidence, row: Row, all_runs: list[Run]) -> Iterator[str]:
    """Repeats that no interrupted attempt accounts for."""
    repeats: dict[str, list[Run]] = defaultdict(list)
    for run in _repeats(evidence, row, all_runs):
        repeats[run.attempt].append(run)
    for attempt, its in repeats.items():
        names = sorted(run.step for run in its)
        if not _interrupted(evidence, attempt):
            claim = evidence.claim_of[attempt]
            yield f"{row['id']}: {names} in attempt {attempt}, which ended as {claim.ended}"
        elif not _at_once(its):
            yield f"{row['id']}: {names} were not all executing when attempt {attempt} ended"


def _repeats(evidence: Evidence, row: Row, all_runs: list[Run]) -> Iterator[Run]:
    """The runs that neither were recorded nor failed as planned."""
    planned: Counter[str] = Counter()
    kept: set[str] = set()
    # Which of the failures was written down is not known: those of whole attempts were.
    for run in sorted(all_runs, key=lambda it: _interrupted(evidence, it.attempt)):
        if run.phase is Phase.FAIL:
            planned[run.step] += 1
            if planned[run.step] > planned_failures(row["workflow_id"], run.step, row["payload"]):
                yield run
        elif run.step not in kept and _is_the_recorded(evidence, run):
            kept.add(run.step)
        elif run.phase is not Phase.CANCELLED:
            yield run


def _interrupted(evidence: Evidence, attempt: str) -> bool:
    claim = evidence.claim_of.get(attempt)
    return claim is None or claim.lost


def interruptions(evidence: Evidence) -> tuple[int, int]:
    """How many leases were lost or given back, and how many runs of steps were for nothing."""
    lost = sum(claim.lost for claim in evidence.claims.values())
    rows = evidence.executions
    again = sum(
        len(list(_repeats(evidence, rows[id_], runs(lines))))
        for id_, lines in evidence.lines_of.items()
        if id_ in rows
    )
    return lost, again


def _is_the_recorded(evidence: Evidence, run: Run) -> bool:
    recorded = evidence.recorded.get((run.execution, run.step))
    claim = evidence.claim_of.get(run.attempt)
    return recorded is not None and claim is not None and recorded.token == claim.token


def _at_once(its: list[Run]) -> bool:
    """Whether none of them had ended before another one began."""
    last = max(run.begin for run in its)
    return all(run.end is None or run.end >= last for run in its)


def no_wait_was_short(evidence: Evidence) -> list[str]:
    """(c) No wait ended early, nor a delay between two tries of a step."""
    found: list[str] = []
    for id_, lines in evidence.lines_of.items():
        row = evidence.executions.get(id_)
        found += [f"c: {id_}: {text}" for text in _short_by_the_ledger(lines)]
        if row is not None and "delay" in row["payload"]:
            found += [f"c: {id_}: {text}" for text in _short_delays(evidence, row, lines)]
    return found + [f"c: {text}" for text in _short_by_the_tables(evidence)]


def _short_by_the_ledger(lines: Iterable[Line]) -> Iterator[str]:
    due: dict[str, float] = {}
    for line in lines:
        if line.phase is Phase.ASK:
            seconds = float(line.text)
            due.setdefault(line.step, line.at + seconds if seconds < _A_MOMENT else seconds)
        elif line.phase is Phase.PASSED and due[line.step] - line.at > CLOCK:
            yield f"{line.step!r} ended {due[line.step] - line.at:.3f} s early"


def _short_by_the_tables(evidence: Evidence) -> Iterator[str]:
    asked = {
        (line.execution, line.step): float(line.text)
        for line in evidence.lines
        if line.phase is Phase.ASK
    }
    for row in evidence.checkpoints:
        seconds = asked.get((row["execution_id"], row["step_key"]), _A_MOMENT)
        if seconds < _A_MOMENT:
            took = (row["created_at"] - row["started_at"]) / SECOND
            if took < seconds - CLOCK:
                yield f"{row['execution_id']}: {row['step_key']!r} took {took} of {seconds} s"


def _short_delays(evidence: Evidence, row: Row, lines: Iterable[Line]) -> Iterator[str]:
    failed: dict[str, Line] = {}
    for line in lines:
        if line.phase is Phase.FAIL:
            failed[line.step] = line
        elif line.phase is Phase.BEGIN and line.step in failed:
            before = failed.pop(line.step)
            claim = evidence.claim_of.get(before.attempt)
            # One that was interrupted may not have come to write its delay down.
            known = line.attempt == before.attempt or (claim and claim.ended == "waiting")
            if known and line.at - before.at < row["payload"]["delay"] - CLOCK:
                yield f"{line.step!r} was tried again after {line.at - before.at:.3f} s"


def children_once(evidence: Evidence) -> list[str]:
    """(d) Each child exists once, and nothing that nobody started."""
    found: list[str] = []
    known = evidence.started.roots | evidence.started.maybe
    have: dict[str, list[str]] = defaultdict(list)
    for id_, row in evidence.executions.items():
        parent = row["parent_execution_id"]
        if parent is not None:
            have[parent].append(row["parent_step_key"])
        elif id_ not in known:
            found.append(f"d: nobody started {row['workflow_id']} {id_}")
    for id_ in evidence.lines_of:
        if id_ not in evidence.executions:
            found.append(f"d: {id_} ran and is not there")
    for id_, row in evidence.executions.items():
        wanted = children(row["workflow_id"], row["payload"])
        keys = sorted(have[id_])
        if wanted is None:
            wanted = sorted(set(keys))
        if keys != sorted(wanted):
            found.append(f"d: {row['workflow_id']} {id_} has the children {keys}, not {wanted}")
    return found


def canvas_went_on(evidence: Evidence) -> list[str]:
    """(e) Chains and chords behind workflows went on, and not before their time."""
    found: list[str] = []
    for id_, before in evidence.started.follow.items():
        row = evidence.executions.get(id_)
        if row is None:
            found.append(f"e: {id_} was to follow {before} and was never started")
            continue
        if row["payload"] != evidence.started.roots[id_]:
            found.append(f"e: {id_} was given {row['payload']}")
        ends = [evidence.executions[it]["finished"] for it in before if it in evidence.executions]
        if None in ends or any(row["created_at"] / SECOND < end for end in ends):
            found.append(f"e: {id_} was started before all of {before} had ended")
    return found


def tables_are_sound(evidence: Evidence) -> list[str]:
    """(f) The tables hold nothing orphaned, left over or against a constraint."""
    found = [f"f: {text}" for text in evidence.refused]
    recorded = {(row["execution_id"], row["step_key"]) for row in evidence.checkpoints}
    for row in evidence.waits:
        key = (row["execution_id"], row["step_key"])
        execution = evidence.executions.get(row["execution_id"])
        if key in recorded:
            found.append(f"f: {key} waits, and is recorded")
        if execution is None or Status(execution["status"]).ended:
            found.append(f"f: {key} waits, and its execution has ended or is gone")
    for id_, row in evidence.executions.items():
        found += [f"f: {id_} {text}" for text in _left_over(evidence, row)]
    return found + [f"f: {text}" for text in _same_place(evidence)]


def _left_over(evidence: Evidence, row: Row) -> Iterator[str]:
    parent, root = row["parent_execution_id"], row["root_execution_id"]
    for name, id_ in (("parent", parent), ("root", root)):
        if id_ is not None and id_ not in evidence.executions:
            yield f"has a {name} that is not there: {id_}"
    if not Status(row["status"]).ended:
        return
    for column in ("wake_at", "dispatch_at", "lease_token", "lease_owner"):
        if row[column] is not None:
            yield f"has ended, with {column} {row[column]}"
    if row["unannounced"]:
        yield "has ended, unannounced"


def _same_place(evidence: Evidence) -> Iterator[str]:
    """Replay resolves in the order of turn and position: no two may have the same."""
    places: Counter[tuple[str, int, int]] = Counter(
        (row["execution_id"], row["turn"], row["position"]) for row in evidence.checkpoints
    )
    for place, count in places.items():
        if count > 1:
            yield f"{count} checkpoints have the place {place}"


def written_once(evidence: Evidence) -> list[str]:
    """(g) What transaction steps write is there exactly where their checkpoints are, and once."""
    recorded = Counter(
        (row["execution_id"], row["step_key"])
        for row in evidence.checkpoints
        if row["kind"] == Kind.TRANSACTION and row["failure"] is None
    )
    written = Counter(evidence.writings)
    return [
        f"g: {step!r} of {id_} has written {written[id_, step]} times, and is recorded "
        f"{recorded[id_, step]} times"
        for id_, step in sorted(recorded.keys() | written.keys())
        if written[id_, step] != recorded[id_, step]
    ]


INVARIANTS: dict[str, Callable[[Evidence], list[str]]] = {
    "a": ended_right,
    "b": never_again,
    "c": no_wait_was_short,
    "d": children_once,
    "e": canvas_went_on,
    "f": tables_are_sound,
    "g": written_once,
}


def violations(evidence: Evidence) -> list[str]:
    """Everything that is broken."""
    return [text for judge in INVARIANTS.values() for text in judge(evidence)]
