"""How hypothesis draws programs and fates."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.programs.fate import Fate, Trouble
from tests.programs.syntax import (
    Child,
    Draw,
    Fail,
    First,
    Gather,
    Group,
    InOrder,
    Limited,
    Loop,
    Node,
    Seq,
    Step,
    Try,
    Wait,
)

# In milliseconds: one that is sat out in place, and two that park.
_TIMES = (2, 15, 25)

_steps = st.builds(
    Step,
    st.integers(0, 9),
    fails=st.sampled_from([0, 0, 0, 1, 2]),
    retries=st.sampled_from([0, 1, 2]),
    delay=st.sampled_from([1, 15]),
    how=st.sampled_from(["plain", "async", "sleeps"]),
)
_leaves: st.SearchStrategy[Node] = st.one_of(
    _steps,
    _steps,
    st.builds(Wait, st.sampled_from(_TIMES)),
    st.builds(Draw, st.sampled_from(["uuid", "now", "random"])),
    st.builds(Fail, st.sampled_from(["a", "b"])),
)


Parts = st.SearchStrategy[Node]


def _several(part: Parts, least: int = 2) -> st.SearchStrategy[tuple[Node, ...]]:
    return st.lists(part, min_size=least, max_size=3).map(tuple)


def _one_after_the_other(part: Parts) -> Parts:
    maybe = st.none() | part
    return st.one_of(
        st.builds(Seq, _several(part, 1)),
        st.builds(Seq, _several(part)),
        st.builds(Try, part, handler=maybe, final=maybe),
        st.builds(Loop, st.integers(0, 2), part),
        st.builds(Child, part, waits=st.sampled_from([True, True, False])),
    )


def _beside_each_other(part: Parts) -> Parts:
    return st.one_of(
        _one_after_the_other(part),
        st.builds(Gather, _several(part), collect=st.booleans()),
        st.builds(First, _several(part)),
        st.builds(InOrder, _several(part)),
        st.builds(Group, _several(part)),
        st.builds(Limited, _several(part), most=st.sampled_from([1, 2])),
    )


programs: Parts = st.recursive(_leaves, _beside_each_other, max_leaves=8)
# Without branches, as plain ``def`` workflows are.
sequences: Parts = st.recursive(_leaves, _one_after_the_other, max_leaves=8)

_whats = st.sampled_from(["die", "die", "die", "zombie", "others", "beat", "away"])


def fates(*, cancels: bool = False) -> st.SearchStrategy[Fate]:
    """Fates; in those with ``cancels`` the program may be cancelled."""
    whats = _whats | st.just("cancel") if cancels else _whats
    troubles = st.builds(Trouble, st.integers(0, 25), whats)
    return st.builds(
        Fate,
        st.lists(troubles, max_size=8).map(tuple),
        picks=st.lists(st.integers(0, 3), max_size=8).map(tuple),
        messages=st.lists(st.sampled_from([0, 0, 0, 1, 2]), max_size=8).map(tuple),
    )
