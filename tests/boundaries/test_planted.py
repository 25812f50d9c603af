"""The campaigns find defects: each of these was planted on purpose."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.boundaries import planted
from tests.boundaries.conftest import Campaigner


@pytest.mark.timeout(600)
@pytest.mark.parametrize("campaign", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("plant", "name", "at", "said"),
    [
        (
            planted.now_is_saved_later,
            "b_derived",
            "INSERT INTO polos_checkpoints",
            "effect .*'use'.* saw",
        ),
        (
            planted.waits_that_are_over_stay,
            "b_finally",
            "UPDATE polos_executions",
            "wait .*'long'.* instead of None",
        ),
        (
            planted.parents_are_told_later,
            "b_invoke_and_wait",
            "COMMIT",
            "neither a hint nor a wait is left",
        ),
    ],
)
def test_a_planted_defect_is_found(
    campaign: Campaigner, plant: Callable[[], None], name: str, at: str, said: str
) -> None:
    report = campaign(name, plant, at)
    assert re.search(said, "\n".join(report.failures)), report
