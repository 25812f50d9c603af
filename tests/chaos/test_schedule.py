"""The faults are a function of the seed, and come often enough to count."""

from __future__ import annotations

from collections import Counter

from tests.chaos.faults import FAULTS
from tests.chaos.schedule import schedule

KINDS = list(FAULTS)


def test_the_same_seed_gives_the_same_faults() -> None:
    assert schedule(7, 600, KINDS) == schedule(7, 600, KINDS)
    assert schedule(7, 600, KINDS) != schedule(8, 600, KINDS)


def test_what_a_kind_gets_does_not_depend_on_the_others() -> None:
    alone = schedule(7, 600, ["freeze"])
    assert [blow for blow in schedule(7, 600, KINDS) if blow.kind == "freeze"] == alone


def test_every_kind_comes_often_enough() -> None:
    for seed in range(50):
        long = Counter(blow.kind for blow in schedule(seed, 600, KINDS))
        short = Counter(blow.kind for blow in schedule(seed, 60, KINDS))
        assert min(long.values()) >= 24
        assert set(short) == set(KINDS)
        assert min(short.values()) >= 2


def test_faults_overlap() -> None:
    gaps = [blow.at for blow in schedule(7, 600, KINDS)]
    assert min(after - before for before, after in zip(gaps, gaps[1:], strict=False)) < 0.5
