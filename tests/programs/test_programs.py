"""Random programs in random worlds: nothing that goes wrong changes what they come to."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.programs import laws
from tests.programs.drawing import fates, programs, sequences
from tests.programs.fate import Fate
from tests.programs.model import Expected, determined, expected
from tests.programs.syntax import Node
from tests.programs.world import World

# Shrinking takes its time.
pytestmark = pytest.mark.timeout(1800)

_WISHED = os.environ.get("EXAMPLES")


def _examples(usual: int) -> settings:
    """So many examples; with EXAMPLES=5000 in the environment as many, and others each time."""
    return settings(
        max_examples=int(_WISHED or usual),
        derandomize=_WISHED is None,
        database=None,
        deadline=None,
        print_blob=True,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


def check(
    world: World, program: Node, expects: Expected | None = None, *, plain: bool = False
) -> None:
    """Run a program to its end and check all laws."""
    try:
        world.run(program, plain=plain)
        faults = laws.broken(world, expects)
    except Exception as error:
        error.add_note(laws.report(world, program, []))
        raise
    assert not faults, laws.report(world, program, faults)


@_examples(100)
@given(programs.map(determined), fates())
def test_it_comes_to_what_the_model_says(
    worlds: Callable[..., World], program: Node, fate: Fate
) -> None:
    check(worlds(fate), program, expected(program))


@_examples(50)
@given(sequences, fates())
def test_so_do_plain_functions(worlds: Callable[..., World], program: Node, fate: Fate) -> None:
    check(worlds(fate), program, expected(program), plain=True)


@_examples(60)
@given(programs, fates())
def test_whatever_the_order_the_laws_hold(
    worlds: Callable[..., World], program: Node, fate: Fate
) -> None:
    check(worlds(fate), program)


@_examples(40)
@given(programs, fates(cancels=True))
def test_they_hold_for_what_is_cancelled(
    worlds: Callable[..., World], program: Node, fate: Fate
) -> None:
    check(worlds(fate), program)


@_examples(20)
@given(programs.map(determined), fates())
def test_it_comes_to_the_same_on_postgresql(
    postgres_worlds: Callable[..., World], program: Node, fate: Fate
) -> None:
    check(postgres_worlds(fate), program, expected(program))
