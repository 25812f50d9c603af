from __future__ import annotations

import pytest

from polos.model import states
from polos.model.states import ENDED, TRANSITIONS, Status, Transition


def test_every_transition_is_in_the_table_once() -> None:
    named = [value for value in vars(states).values() if isinstance(value, Transition)]
    assert len(named) == len(TRANSITIONS)
    assert set(named) == set(TRANSITIONS)
    assert len({transition.name for transition in TRANSITIONS}) == len(TRANSITIONS)


# What somebody asks for, who knows that it has failed.
REOPENING = {"retry", "retry later"}


def test_nothing_follows_an_end_but_the_retry_of_what_failed() -> None:
    assert {Status.COMPLETED, Status.FAILED, Status.CANCELLED} == ENDED
    for transition in TRANSITIONS:
        assert transition.sources
        reopened = {Status.FAILED} if transition.name in REOPENING else set()
        assert transition.sources & ENDED == reopened, transition.name
        assert transition.target not in transition.sources, transition.name


@pytest.mark.parametrize("status", Status)
def test_a_status_knows_whether_it_is_an_end(status: Status) -> None:
    assert status.ended == (status in ENDED)
    leaves = [it for it in TRANSITIONS if status in it.sources and it.name not in REOPENING]
    assert bool(leaves) == (not status.ended)


def test_every_state_can_be_reached_and_every_open_one_can_end() -> None:
    reached = {Status.QUEUED}
    for _ in Status:
        reached |= {it.target for it in TRANSITIONS if it.sources & reached}
    assert reached == set(Status)
    ends = set(ENDED)
    for _ in Status:
        ends |= {status for it in TRANSITIONS if it.target in ends for status in it.sources}
    assert ends == set(Status)


def test_work_begins_with_a_claim_and_only_its_holder_ends_it_with_a_result() -> None:
    assert [it.name for it in TRANSITIONS if it.target is Status.RUNNING] == ["claim"]
    assert all(it.fenced for it in TRANSITIONS if it.target is Status.COMPLETED)
    assert all(it.sources == {Status.RUNNING} for it in TRANSITIONS if it.fenced)
    # Without the lease, work under way is only taken back or given up.
    unfenced = {it.name for it in TRANSITIONS if Status.RUNNING in it.sources and not it.fenced}
    assert unfenced == {"reclaim", "give up", "revoke", "time out"}
