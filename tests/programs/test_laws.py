"""The laws over a corpus written by hand; and bugs, planted, that they must report."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from polos.definition import steps
from polos.engine.attempt import Attempt
from polos.engine.branches import Branches
from polos.engine.effects import AttemptEffects
from polos.engine.journal import Journal
from polos.model.records import Checkpoint, Micros, Wait
from tests.programs import laws
from tests.programs.corpus import CHANCY, CORPUS
from tests.programs.fate import CALM, Fate, Trouble
from tests.programs.model import expected
from tests.programs.syntax import Draw, InOrder, Node, Seq, Step, Try
from tests.programs.syntax import Wait as WaitFor
from tests.programs.test_programs import check
from tests.programs.world import World

Worlds = Callable[..., World]

FATES = {
    "nothing goes wrong": CALM,
    "workers die often": Fate(tuple(Trouble(after) for after in (3, 5, 7, 4, 6, 2, 8, 5))),
    "leases are lost": Fate(tuple(Trouble(after, "zombie") for after in (6, 9, 4, 8))),
    "much happens meanwhile": Fate(
        (Trouble(8, "others"), Trouble(5, "beat"), Trouble(7, "others"), Trouble(6, "die")),
        picks=(1, 2, 1, 0, 1),
        messages=(0, 1, 2, 0, 1, 1, 2),
    ),
}


@pytest.mark.parametrize("fate", FATES.values(), ids=FATES)
@pytest.mark.parametrize("program", CORPUS.values(), ids=CORPUS)
def test_programs_come_to_what_the_model_says(worlds: Worlds, program: Node, fate: Fate) -> None:
    check(worlds(fate), program, expected(program))


@pytest.mark.parametrize("fate", FATES.values(), ids=FATES)
@pytest.mark.parametrize("program", CHANCY.values(), ids=CHANCY)
def test_chance_once_recorded_is_no_chance(worlds: Worlds, program: Node, fate: Fate) -> None:
    check(worlds(fate), program)


def found(world: World, program: Node, *, known: bool = True) -> set[str]:
    """The names of the laws that are broken."""
    world.run(program)
    faults = laws.broken(world, expected(program) if known else None)
    return {fault[:2] for fault in faults}


def test_a_replay_in_another_order_is_reported(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember = Journal._remember

    def reversed_(self: Journal, rows: tuple[Checkpoint, ...]) -> None:
        remember(self, rows)
        self._order = OrderedDict(reversed(self._order.items()))

    monkeypatch.setattr(Journal, "_remember", reversed_)
    program = InOrder((Step(1, how="sleeps"), Step(3, how="sleeps")))
    assert "L2" in found(worlds(), program, known=False)


def test_a_uuid_that_is_not_derived_is_reported(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "uuid5", lambda *_: uuid4())
    dies_in_the_step = Fate((Trouble(0, at="end of a step"),))
    program = Seq((Draw("uuid"), Step(1)))
    assert "L4" in found(worlds(dies_in_the_step), program)


def test_a_journal_that_stays_open_at_a_park_is_reported(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave = Attempt.leave

    def opened(self: Attempt) -> bool:
        self.journal.closed = False
        return leave(self)

    monkeypatch.setattr(Attempt, "leave", opened)
    assert "L7" in found(worlds(), Try(WaitFor(15), None, Step(1)))


def test_a_forgotten_count_of_attempts_is_reported(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = AttemptEffects._live_step

    async def forgets(self: AttemptEffects, request: Any) -> Checkpoint:
        self._journal.stored_waits.pop(request.key, None)
        return await live(self, request)

    monkeypatch.setattr(AttemptEffects, "_live_step", forgets)
    dies_in_the_back_off = Fate((Trouble(0, at="after keep_wait"),))
    assert {"L3", "L4"} <= found(worlds(dies_in_the_back_off), Step(1, 1, 2))


def test_a_wait_that_ends_early_is_reported(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = Branches.timer

    async def hurried(self: Branches, wait: Wait, due: Micros) -> None:
        await added(self, wait, Micros(due - 9_990_000))

    monkeypatch.setattr(Branches, "timer", hurried)
    assert "L5" in found(worlds(), WaitFor(10_000))
